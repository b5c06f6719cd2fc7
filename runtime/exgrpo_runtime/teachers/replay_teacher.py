"""`replay(…)`: a teacher that answers from recorded replies and from nothing else.

Strict: a request that was not recorded stops the stage, with the recorded one that is nearest and where the two part. Going on would
leave holes that look like a teacher's failures.

A recording stands for a request of the same messages and sample. Of several, that of a model of the same name in the spec is taken,
then that of the same sampling, then the first.
"""

from __future__ import annotations

from pathlib import Path

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.nearest import describe_nearest
from exgrpo_runtime.teachers.recordings import Recording, read_recordings
from exgrpo_runtime.teachers.teacher import Message, Reply, Request, Teacher

_Place = tuple[tuple[str, str], ...]


class ReplayTeacher(Teacher):
    """A teacher without a model.

    Raises:
        TeacherError: its file cannot be read, or holds no recording.
        MissingDependencyError: parquet without the extra `train`.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.concurrency = max(1, model.limits.concurrency)
        self._recordings: dict[_Place, list[Recording]] = {}
        for recording in read_recordings(Path(str(model.id)), f"model `{model.name}`"):
            self._recordings.setdefault(_name(recording.messages), []).append(recording)

    async def ask(self, request: Request) -> Reply:
        """The recorded reply.

        Raises:
            TeacherError: there is none.
        """
        return self.find(request)

    def find(self, request: Request) -> Reply:
        """The recorded reply.

        Raises:
            TeacherError: there is none.
        """
        told = f"model `{self._model.name}`: {self._model.id} holds no reply to this request."
        same = self._recordings.get(_name(request.messages))
        if same is None:
            every = [one for group in self._recordings.values() for one in group]
            raise TeacherError(f"{told} {describe_nearest(request.messages, every)}")
        fitting = [one for one in same if one.sample == request.sample]
        if not fitting:
            samples = ", ".join(str(number) for number in sorted({one.sample for one in same}))
            raise TeacherError(
                f"{told} Its messages are recorded, but not for sample {request.sample}: there are {samples}."
            )
        sampling = request.describe()["sampling"]
        best = max(fitting, key=lambda one: (one.model == self._model.name, one.sampling == sampling))
        return Reply(best.text, best.prompt_tokens, best.completion_tokens)


def _name(messages: tuple[Message, ...]) -> _Place:
    return tuple((message["role"], message["content"]) for message in messages)
