"""Typed trees to graphs: nodes in evaluation order, arguments before those that use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.graph import Graph, Node, RewardGraph
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.check.answers import get_answer_for
from exgrpo_compiler.ir import AnswerOf, CheckedReward, StudentRole, Typed
from exgrpo_compiler.lower.names import Scene
from exgrpo_compiler.program import Key
from exgrpo_compiler.prove.facts import collect_facts
from exgrpo_compiler.prove.infer import write_intervals
from exgrpo_compiler.source import Span


class _Builder:
    """Nodes so far. `terms` are the trees that `term` nodes stand for; `probes` is the block whose filter this is."""

    def __init__(
        self,
        names: Mapping[Key, str],
        terms: Mapping[str, Typed] | None = None,
        scene: Scene | None = None,
        probes: Key | None = None,
    ) -> None:
        self.names = names
        self.scene = scene
        self.terms = terms or {}
        self.probes = probes
        self.nodes: list[Node] = []
        self.spans: dict[str, Span] = {}
        self.done: set[str] = set()
        self.shared: dict[int, str] = {}
        """Node of a tree that was met before: the middle of `a < b < c` is computed, and asked, once."""
        self.count = 0

    def add(self, tree: Typed, name: str | None = None) -> str:
        """Adds a tree, its arguments first; gives the id of its node."""
        if tree.op == "term":
            term = self.add_term(str(tree.params["name"]))
            if name is None:
                return term
            # A term that is just another term is a node of its own: `default` of a value and itself is the value.
            return self._append(name, tree, "default", (term, term), {})
        if name is None and id(tree) in self.shared:
            return self.shared[id(tree)]
        args = tuple(self.add(arg) for arg in tree.args)
        id_ = self._append(name or self._make_id(), tree, tree.op, args, self._lower_params(tree.params))
        self.shared[id(tree)] = id_
        return id_

    def add_term(self, name: str) -> str:
        """Adds a named term and all terms it needs, once."""
        if name not in self.done:
            self.done.add(name)
            self.add(self.terms[name], name)
        return name

    def _append(self, id_: str, tree: Typed, op: str, args: tuple[str, ...], params: dict[str, Any]) -> str:
        self.nodes.append(Node(id=id_, op=op, args=args, params=params, level=tree.level))
        self.spans[id_] = tree.span
        return id_

    def _make_id(self) -> str:
        while True:
            id_ = f"_{self.count}"
            self.count += 1
            if id_ not in self.terms:
                return id_

    def _lower_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        lowered = {name: self._lower_param(value) for name, value in params.items()}
        if lowered.get("fn") == "solved":
            dialogue = self.get_scene().find_dialogue(self.probes) if self.probes is not None else None
            del lowered["dialogue"]
            if dialogue is not None:
                lowered["dialogue"] = self.names[dialogue]
        return lowered

    def _lower_param(self, value: Any) -> Any:
        if isinstance(value, Key):
            return self.names[value]
        if isinstance(value, StudentRole):
            return self.names[self.get_scene().task.student]
        if isinstance(value, AnswerOf):
            declared = None
            if self.probes is not None:
                find = (
                    self.get_scene().find_probe_answer if value.is_of_probe else self.get_scene().find_answer
                )
                declared = find(self.probes)
            return to_plain(declared or get_answer_for(value.type))
        return to_plain(value) if isinstance(value, AnswerSpec) else value

    def get_scene(self) -> Scene:
        """The task; a reward is the same in every task and has none."""
        assert self.scene is not None, "only filters depend on the task"
        return self.scene


def lower_graph(scene: Scene, tree: Typed, probes: Key | None = None) -> Graph:
    """The graph of an expression; `probes` is the block whose filter it is."""
    builder = _Builder(scene.names, scene=scene, probes=probes)
    result = builder.add(tree)
    return Graph(nodes=tuple(builder.nodes), result=result)


class LoweredReward(NamedTuple):
    """A reward's graph and where each of its nodes is written."""

    graph: RewardGraph
    spans: Mapping[str, Span]


def lower_reward(scene: Scene, key: Key) -> RewardGraph:
    """The graph of a reward; every term is in it, also one that `total` does not need."""
    reward: CheckedReward = scene.get(key)
    graph = lower_reward_with_spans(reward, key, scene.names).graph
    return write_intervals(graph, collect_facts(scene.program.known, reward, scene.names))


def lower_reward_with_spans(reward: CheckedReward, key: Key, names: Mapping[Key, str]) -> LoweredReward:
    """The same for a reward of no task in particular; `names` has all that it refers to."""
    builder = _Builder(names, reward.terms)
    for name in reward.terms:
        builder.add_term(name)
    graph = RewardGraph(
        name=names[key],
        dialogue=names[reward.dialogue],
        dataset=names[reward.dataset],
        range=reward.range,
        nodes=tuple(builder.nodes),
        terms=tuple(reward.terms),
        result="total",
        on_failure=reward.on_failure,
    )
    return LoweredReward(graph, builder.spans)
