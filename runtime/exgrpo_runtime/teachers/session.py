"""One event loop for a whole run, and the teachers that live on it: connections and pauses outlive a stage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.interrupts import delay_interrupts
from exgrpo_runtime.teachers.teacher import Teacher, open_teacher

T = TypeVar("T")


class Session:
    """Belongs to one thread, which closes it."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._teachers: dict[str, Teacher] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns, run in this thread on the session's loop."""
        if self._runner is None:
            try:
                self._runner = asyncio.Runner()
                with delay_interrupts():  # half a loop would complain as it is collected
                    self._runner.get_loop()
            except BaseException:
                work.close()
                raise
        return self._runner.run(work)

    def get_teacher(self, model: Model, open_model: Callable[[Model], Teacher] = open_teacher) -> Teacher:
        """The run's teacher of this model, opened at its first use.

        Raises:
            TeacherError: it cannot be opened.
        """
        teacher = self._teachers.get(model.name)
        if teacher is None:
            teacher = self._teachers[model.name] = open_model(model)
        return teacher

    def drop_teacher(self, name: str) -> None:
        """Closes the teacher of this model where it is open: one that was stopped sends nothing any more."""
        teacher = self._teachers.pop(name, None)
        if teacher is not None:
            self.run(teacher.close())

    def close(self) -> None:
        """Closes the teachers and the loop."""
        try:
            for name in list(self._teachers):
                self.drop_teacher(name)
        finally:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()
