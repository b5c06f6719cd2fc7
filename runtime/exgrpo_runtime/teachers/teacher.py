"""Teachers and judges: models that are asked over an interface and answer with text.

Invariant: a request that fails is a Reply with its error; only a teacher that cannot be used at all raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from exgrpo_artifact.canonical import hash_value
from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model, Sampling

KEY_FORMAT = 1
"""Raised when requests of the same key would be sent differently."""


Message = dict[str, str]
"""One chat message: `role` (system, user or assistant) and `content`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model."""

    model: Model
    messages: tuple[Message, ...]
    sampling: Sampling | None = None
    """Instead of the model's own."""
    sample: int = 0
    """Which of several answers to the same messages."""

    @property
    def used_sampling(self) -> Sampling:
        """The sampling that the request is sent with."""
        return self.sampling or self.model.sampling

    @property
    def key(self) -> str:
        """sha256 of all that determines the answer; how the model is reached (URL, key, limits) does not."""
        return hash_value(
            {
                "format": KEY_FORMAT,
                "model": self.model.name,
                "kind": self.model.kind,
                "id": self.model.id,
                "revision": self.model.revision,
                "options": self.model.options,
                "sampling": self.used_sampling,
                "messages": list(self.messages),
                "sample": self.sample,
            }
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Just one of `text` and `error` is set."""

    text: str | None
    prompt_tokens: int | None = None
    """As the endpoint counts them; None where it does not say."""
    completion_tokens: int | None = None
    error: str | None = None


class Teacher(Protocol):
    """An opened model. `ask` may be called from `concurrency` threads at once."""

    concurrency: int

    def ask(self, request: Request) -> Reply:
        """The model's reply, after the attempts that the model's settings allow.

        Raises:
            TeacherError: the teacher cannot be used at all, so no other request would fare better.
        """

    def close(self) -> None:
        """Lets go of connections; wakes threads that wait inside `ask`."""


def open_teacher(model: Model) -> Teacher:
    """A teacher for the model, its environment variables looked up now.

    Raises:
        TeacherError: an environment variable or a plugin is missing, or models of this kind cannot teach.
    """
    if model.kind == "openai":
        from exgrpo_runtime.teachers.http_teacher import HttpTeacher

        return HttpTeacher(model)
    if model.kind == "plugin":
        from exgrpo_runtime.teachers.plugin_teacher import PluginTeacher

        return PluginTeacher(model)
    raise TeacherError(
        f"model `{model.name}` is {model.kind}(…), which answers no requests. Serve it behind an "
        "OpenAI-compatible URL (vLLM, `transformers serve`, llama.cpp) and declare it with "
        "openai(…, base_url: …)."
    )
