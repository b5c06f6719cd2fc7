"""Graphs written by hand, as the compiler would emit them."""

from __future__ import annotations

from typing import Any

from exgrpo_artifact.evaluate import Rollout
from exgrpo_artifact.graph import Graph, Level, Node, OnFailure, RewardGraph

NUMBER = {"kind": "number.last"}
DROP_GROUP = OnFailure(action="drop_group")


class Builder:
    """Nodes in order; every call gives the id of the node that it adds."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, op: str, *args: str, id: str = "", level: Level = "const", **params: Any) -> str:
        node = Node(id=id or f"_{len(self.nodes)}", op=op, args=args, params=params, level=level)
        self.nodes.append(node)
        return node.id

    def const(self, value: Any, id: str = "") -> str:
        return self.add("const", id=id, value=value)

    def call(self, fn: str, *args: str, id: str = "", **params: Any) -> str:
        return self.add("call", *args, id=id, fn=fn, **params)

    def mean(self, *args: str, id: str = "") -> str:
        return self.add("aggregate", *args, id=id, fn="mean")

    def turn(self, name: str, level: Level = "rollout") -> str:
        return self.add("turn", level=level, name=name)

    def matches(self, id: str = "outcome") -> str:
        """`matches(d.final, item.gold)`."""
        return self.call("matches", self.turn("final"), self.add("item", field="gold"), id=id, answer=NUMBER)

    def judge(self, turn: str = "final", level: Level = "rollout", id: str = "") -> str:
        """`judge.score(d.turn, …)`."""
        return self.call("judge.score", self.turn(turn, level), id=id, rubric="faithful", model="judge")

    def is_scenario(self, name: str) -> str:
        return self.add("eq", self.add("scenario"), self.const(name))

    def build(self, result: str) -> Graph:
        return Graph(nodes=tuple(self.nodes), result=result)

    def reward(self, *terms: str, on_failure: OnFailure | None = None) -> RewardGraph:
        """A reward with these terms in source order, and `total` last."""
        return RewardGraph(
            name="r",
            dialogue="d",
            dataset="rows",
            range=(0, 10),
            nodes=tuple(self.nodes),
            terms=(*terms, "total"),
            result="total",
            on_failure=on_failure or OnFailure(),
        )


def build_exgrpo(nu: float = 1.0, delta: float = 0.5) -> RewardGraph:
    """The reward `exgrpo` of the paper (Eq. 5 and 6), term by term."""
    b = Builder()
    b.matches()
    b.mean("outcome", b.is_scenario("full"), id="p_full")
    b.mean("outcome", b.is_scenario("partial"), id="p_part")
    fires = b.add("gt", "p_full", b.add("mul", b.const(nu), "p_part"))
    b.add("if", fires, b.const(delta), b.const(0), id="bonus")
    is_right_full = b.add("and", b.is_scenario("full"), b.add("eq", "outcome", b.const(1)))
    b.add("add", "outcome", b.add("if", is_right_full, "bonus", b.const(0)), id="total")
    return b.reward("outcome", "p_full", "p_part", "bonus")


def make_rollout(
    scenario: str, final: str | None = "", *, seed: int = 0, tokens: int = 10, **turns: tuple[str, ...]
) -> Rollout:
    """A rollout with a closing turn `final` and any turns inside `for`."""
    count = sum(len(texts) for texts in turns.values()) + (final is not None)
    return Rollout(scenario, {"final": final, **turns}, tokens, count, seed)


def make_group(full: str, partial: str) -> list[Rollout]:
    """Rollouts by outcome: `make_group("11", "10")` has two right full ones, one right and one wrong partial one. Gold is 4."""
    texts = {"1": "The answer is 4.", "0": "The answer is 5."}
    return [
        make_rollout(scenario, texts[digit])
        for scenario, digits in (("full", full), ("partial", partial))
        for digit in digits
    ]
