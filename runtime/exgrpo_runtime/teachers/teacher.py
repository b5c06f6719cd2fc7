"""Teachers and judges: models that are asked over an interface and answer with text.

Invariant: a request that fails is a Reply with its error; only a teacher that cannot be used at all raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from exgrpo_artifact.canonical import hash_text, hash_value, to_plain
from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model, Sampling

KEY_FORMAT = 2
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
    schema: Mapping[str, Any] | None = None
    """JSON schema of the reply, where it is to be one object."""
    _key: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def used_sampling(self) -> Sampling:
        """The sampling that the request is sent with."""
        return self.sampling or self.model.sampling

    @property
    def used_schema(self) -> Mapping[str, Any] | None:
        """The schema that the endpoint is told of; None where the model's `json` is off."""
        return None if self.model.json == "off" else self.schema

    @property
    def key(self) -> str:
        """sha256 of all that determines the answer; what the spec calls the model, its URL, key and limits do not."""
        if self._key is None:
            described = {"format": KEY_FORMAT, **self._describe_model(), **self.describe()}
            object.__setattr__(self, "_key", hash_text(_dump_compact(described)))
        assert self._key is not None
        return self._key

    @property
    def old_key(self) -> str:
        """The key that format 1 gave to these messages; it knew no schemas."""
        return hash_value(
            {
                "format": 1,
                "model": self.model.name,
                **self._describe_model(),
                "sampling": self.used_sampling,
                "messages": list(self.messages),
                "sample": self.sample,
            }
        )

    def describe(self) -> dict[str, Any]:
        """What is asked, as the store keeps it: messages, sampling, sample, schema."""
        sampling = self.used_sampling
        return {
            "messages": self.messages,
            "sampling": {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "max_tokens": sampling.max_tokens,
            },
            "sample": self.sample,
            "schema": self.used_schema,
        }

    def _describe_model(self) -> dict[str, Any]:
        model = self.model
        options = to_plain(model.options) if model.options else {}
        return {"kind": model.kind, "id": model.id, "revision": model.revision, "options": options}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Just one of `text` and `error` is set."""

    text: str | None
    prompt_tokens: int | None = None
    """As the endpoint counts them; None where it does not say."""
    completion_tokens: int | None = None
    error: str | None = None
    finish_reason: str | None = field(default=None, compare=False)
    """As the endpoint words it: `stop`, `length`, …"""
    latency_s: float | None = field(default=None, compare=False)
    """From sending the attempt that succeeded to its whole reply."""
    endpoint: str | None = field(default=None, compare=False)
    """The URL that answered, without credentials."""
    tries: int = field(default=1, compare=False)
    """Attempts that were made."""
    is_unsent: bool = field(default=False, compare=False)
    """Whether the request never went out because the run is being stopped: nothing failed, nothing was paid."""


class Teacher(Protocol):
    """An opened model. Implementations name this class as their base, which gives them `stop` and `close`."""

    concurrency: int
    """`ask` is awaited so many times at once."""

    async def ask(self, request: Request) -> Reply:
        """The model's reply, after the attempts that the model's settings allow.

        Raises:
            TeacherError: the teacher cannot be used at all, so no other request would fare better.
        """

    def stop(self) -> None:
        """Nothing more is sent; what waits to be sent returns a Reply that `is_unsent`, what is sent is waited for."""
        return

    async def close(self) -> None:
        """Lets go of connections, threads and memory."""
        return


def open_teacher(model: Model) -> Teacher:
    """A teacher for the model, its environment variables looked up now.

    Raises:
        TeacherError: an environment variable, a plugin or a file of recordings is missing, or models of this kind cannot teach.
        MissingDependencyError: it needs an extra that is not installed.
    """
    if model.kind == "openai":
        from exgrpo_runtime.teachers.http_teacher import HttpTeacher

        return HttpTeacher(model)
    if model.kind == "plugin":
        from exgrpo_runtime.teachers.plugin_teacher import PluginTeacher

        return PluginTeacher(model)
    if model.kind == "hf":
        from exgrpo_runtime.teachers.local_teacher import LocalTeacher

        return LocalTeacher(model)
    if model.kind == "replay":
        from exgrpo_runtime.teachers.replay_teacher import ReplayTeacher

        return ReplayTeacher(model)
    raise TeacherError(
        f"model `{model.name}` is {model.kind}(…), which answers no requests. Ask openai(…), hf(…), plugin(…) or replay(…)."
    )


def _dump_compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
