"""A run asks for what it will need before it starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exgrpo_artifact import boxed
from exgrpo_artifact.errors import MissingDependencyError
from exgrpo_artifact.manifest import AnswerKind, AnswerSpec
from exgrpo_runtime.stages import require_comparing


def make_artifact(kind: AnswerKind | None) -> Any:
    answer = None if kind is None else AnswerSpec(kind=kind)
    dialogue = SimpleNamespace(loop=None, closing=(SimpleNamespace(answer=answer),))
    return SimpleNamespace(manifest=SimpleNamespace(dialogues={"lesson": dialogue}))


def test_math_verify_is_required_where_a_turn_is_compared_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxed, "has_math", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"exgrpo\[math\]"):
        require_comparing(make_artifact("math.boxed"))
    require_comparing(make_artifact("number.boxed"))
    require_comparing(make_artifact(None))
    monkeypatch.setattr(boxed, "has_math", lambda: True)
    require_comparing(make_artifact("math.boxed"))
