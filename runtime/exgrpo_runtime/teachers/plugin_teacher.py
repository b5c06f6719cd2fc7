"""Teachers from installed packages: entry points of the group `exgrpo.teachers`.

A plugin is a callable that takes the model's options and gives an object with
`reply(messages: list[dict[str, str]], sample: int) -> str`. It is called from one thread at a time unless the
object says `concurrent = True`; then from `limits.concurrency` threads.
"""

from __future__ import annotations

import time

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.plugins import TEACHERS, call_plugin, load_plugin
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher
from exgrpo_runtime.teachers.threads import Threads
from exgrpo_runtime.teachers.wire import mend_surrogates


class PluginTeacher(Teacher):
    """A teacher whose replies come from code in this process."""

    def __init__(self, model: Model) -> None:
        what = f"model `{model.name}`"
        factory = load_plugin(TEACHERS, model.id, what, TeacherError)
        self._plugin = call_plugin(factory, model.options, model.id, what, TeacherError)
        if not callable(getattr(self._plugin, "reply", None)):
            raise TeacherError(f"{what}: the plugin `{model.id}` gave an object without a method `reply`.")
        is_concurrent = getattr(self._plugin, "concurrent", False) is True
        self.concurrency = max(1, model.limits.concurrency) if is_concurrent else 1
        self._threads = Threads(self.concurrency, "plugin")

    async def ask(self, request: Request) -> Reply:
        """The plugin's reply; whatever it raises is the reply's error."""
        return await self._threads.call(lambda: self._reply(request))

    async def close(self) -> None:
        """Closes the plugin where it has a `close`."""
        self._threads.close()
        close = getattr(self._plugin, "close", None)
        if callable(close):
            close()

    def _reply(self, request: Request) -> Reply:
        messages = [dict(message) for message in request.messages]
        started = time.monotonic()
        try:
            text = self._plugin.reply(messages, request.sample)
        except Exception as error:  # code of others may raise anything
            return Reply(None, error=f"the plugin raised {type(error).__name__}: {error}")
        if not isinstance(text, str):
            return Reply(None, error=f"the plugin replied with {type(text).__name__}, not text")
        return Reply(mend_surrogates(text), latency_s=time.monotonic() - started)
