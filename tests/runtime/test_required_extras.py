"""A run asks for what it will need before it starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exgrpo_artifact import boxed
from exgrpo_artifact.errors import MissingDependencyError
from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import AnswerKind, AnswerSpec, Keep
from exgrpo_artifact.record import replace
from exgrpo_runtime import similarity
from exgrpo_runtime.stages import require_comparing
from tests.runtime.factory import make_artifact as make_task
from tests.runtime.factory import make_graph, make_grpo


def make_artifact(kind: AnswerKind | None) -> Any:
    answer = None if kind is None else AnswerSpec(kind=kind)
    dialogue = SimpleNamespace(loop=None, closing=(SimpleNamespace(answer=answer),))
    return SimpleNamespace(manifest=SimpleNamespace(dialogues={"lesson": dialogue}, stages=()))


def test_math_verify_is_required_where_a_turn_is_compared_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxed, "has_math", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"exgrpo\[math\]"):
        require_comparing(make_artifact("math.boxed"))
    require_comparing(make_artifact("number.boxed"))
    require_comparing(make_artifact(None))
    monkeypatch.setattr(boxed, "has_math", lambda: True)
    require_comparing(make_artifact("math.boxed"))


@pytest.mark.parametrize("where", ["filter", "reward"])
def test_sentence_transformers_is_required_where_meanings_are_compared(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph(
        Node(id="a", op="item", params={"field": "question"}),
        Node(id="close", op="call", args=("a", "a"), params={"fn": "similarity", "id": "small"}),
    )
    artifact = make_task(make_grpo())
    probes = artifact.manifest.probes["ask"]
    if where == "filter":
        keep = Keep(name="near", subject="probe", condition=graph)
        manifest = replace(artifact.manifest, probes={"ask": replace(probes, keeps=(keep,))})
        artifact = artifact._replace(manifest=manifest)
    else:
        reward = artifact.rewards["sums"]
        artifact = artifact._replace(rewards={"sums": replace(reward, nodes=(*graph.nodes, *reward.nodes))})
    monkeypatch.setattr(similarity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'exgrpo\[coherence\]'"):
        require_comparing(artifact)
    require_comparing(make_task(make_grpo()))
