"""Random reward graphs and random rollouts for them: every operation and every function, gaps and failures included.

Graphs are well formed, mostly well typed, and of no use to anyone; what they give is whatever the evaluator says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hypothesis import strategies as st

from exgrpo_artifact.graph import Level, Node, OnFailure, RewardGraph
from exgrpo_artifact.reward_table import Rollout
from exgrpo_artifact.values import Failed, Value
from exgrpo_compiler.prove.facts import Facts, Turns
from exgrpo_compiler.prove.interval import (
    ANY_NUMBER,
    ANY_TEXT,
    ANYTHING,
    EITHER,
    make_list,
    make_number,
    make_texts,
)

FACTS = Facts(
    scenarios={"full": Turns(1, 3), "partial": Turns(1, 2), "plain": Turns(0, 0)},
    fields={
        "gold": ANY_NUMBER,
        "size": make_number(-float("inf"), float("inf"), is_whole=True),
        "note": ANY_TEXT,
        "grade": make_texts(["easy", "hard"]),
        "flag": EITHER,
        "tags": make_list(ANY_TEXT),
        "raw": ANYTHING,
    },
    scales={"faithful": (0, 4)},
    num_looped=2,
    num_closing=1,
    max_rollouts=4,
)

NUMBER = {"kind": "number.last"}
TEXTS = ("The answer is 4.", "4", "5, or -3.5", "no. yes! why?", "", "easy", "a b c")
NUMBERS = (0, 1, 2, -1, 0.5, 0.1, -3.5, 4, True, False)

OPERATORS = ("add", "sub", "mul", "div", "neg", "eq", "ne", "lt", "le", "gt", "ge")
LOGIC = ("and", "or", "not", "if", "default")
AGGREGATES = ("mean", "max", "min", "count", "any", "all")
NUMERIC_CALLS = {
    "clip": 3,
    "ramp": 3,
    "abs": 1,
    "min": 2,
    "max": 3,
    "mod": 2,
    "round": 2,
    "number": 1,
    "bernoulli": 1,
    "declassify": 2,
}
TEXT_CALLS = {
    "before": 2, "after": 2, "strip": 1, "lower": 1, "words": 1, "sentences": 1, "lines": 1, "json": 1,
    "contains": 2, "matches": 2, "format": 1, "judge.score": 1, "judge.same": 2, "similarity": 2,
}  # fmt: skip
LIST_CALLS = {"first": 1, "last": 1, "shuffle": 2}
CALLS = {**NUMERIC_CALLS, **TEXT_CALLS, **LIST_CALLS}
STATIC: Mapping[str, dict[str, Any]] = {
    "matches": {"answer": NUMBER},
    "format": {"answer": NUMBER},
    "judge.score": {"rubric": "faithful", "model": "judge"},
    "judge.same": {"model": "judge"},
    "similarity": {"id": "small"},
}


_RESULTS: Mapping[str, str] = {
    "before": "text",
    "after": "text",
    "strip": "text",
    "lower": "text",
    "shuffle": "list",
}
_TURNS: Mapping[str, Level] = {"final": "rollout", "explain": "turn", "hint": "turn"}
_FORMS = {"const": 2, "operator": 5, "logic": 4, "aggregate": 3, "scenario": 1, "call": 4, "text": 1}


class Group(NamedTuple):
    """What a reward is evaluated on."""

    item: Mapping[str, Any]
    rollouts: list[Rollout]
    judgements: Judgements


class Judgements(Mapping[str, Value]):
    """An answer to whatever is asked, or a failure; the same for the same question."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getitem__(self, key: str) -> Value:
        rng = random.Random(f"{self.seed}/{key}")
        # Whether a key is that of a score or of a verdict is not known here: what both can be is.
        return Failed("the judge timed out") if rng.random() < 0.2 else rng.choice([0, 1])

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(())


class _Maker:
    """Adds nodes; `kinds` are the ids of those that there are so far."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.nodes: list[Node] = []
        self.kinds: dict[str, list[str]] = {"number": [], "text": [], "list": []}
        for name in ("gold", "size", "flag", "raw"):
            self.add("number", "item", field=name)
        for name in ("note", "grade"):
            self.add("text", "item", field=name)
        self.add("list", "item", field="tags")
        for name, level in _TURNS.items():
            self.add("text", "turn", level=level, name=name)
        for op in ("tokens", "num_turns"):
            self.add("number", op)
        self.scenario = self.add("text", "scenario")
        for name in ("final", "explain"):
            turn = next(node.id for node in self.nodes if node.params.get("name") == name)
            self.add("number", "call", turn, "n0", fn="matches", answer=NUMBER)

    def add(self, kind: str, op: str, *args: str, level: Level = "const", **params: Any) -> str:
        node = Node(id=f"n{len(self.nodes)}", op=op, args=args, params=params, level=level)
        self.nodes.append(node)
        self.kinds[kind].append(node.id)
        return node.id

    def pick(self, kind: str) -> str:
        # Now and then another kind than is due: the evaluator has an answer to that too.
        if self.rng.random() < 0.05:
            kind = self.rng.choice(sorted(self.kinds))
        ids = self.kinds[kind]
        # Late nodes rather than early ones, so that chains get long; the same ones again, so that terms are correlated.
        return ids[-1 - min(self.rng.randrange(len(ids)), self.rng.randrange(len(ids)))]

    def add_any(self) -> None:
        """A node of some form."""
        (form,) = self.rng.choices(list(_FORMS), weights=list(_FORMS.values()))
        if form == "const":
            self.add("number", "const", value=self.rng.choice(NUMBERS))
        elif form == "operator":
            op = self.rng.choice(OPERATORS)
            self.add("number", op, *(self.pick("number") for _ in range(1 if op == "neg" else 2)))
        elif form == "logic":
            op = self.rng.choice(LOGIC)
            self.add("number", op, *(self.pick("number") for _ in range({"not": 1, "if": 3}.get(op, 2))))
        elif form == "aggregate":
            fn = self.rng.choice(AGGREGATES)
            self.add(
                "number", "aggregate", *(self.pick("number") for _ in range(self.rng.randint(1, 2))), fn=fn
            )
        elif form == "scenario":
            name = self.add("text", "const", value=self.rng.choice(["full", "partial", "plain", "other"]))
            self.add("number", self.rng.choice(["eq", "ne"]), self.scenario, name)
        elif form == "call":
            self._add_call(self.rng.choice(sorted(CALLS)))
        else:
            self._add_text(self.rng.choice(["const", "add", "list"]))

    def _add_text(self, op: str) -> None:
        if op == "const":
            self.add("text", "const", value=self.rng.choice(TEXTS))
        elif op == "add":
            self.add("text", "add", self.pick("text"), self.pick("text"))
        else:
            self.add("list", "list", self.pick("number"), self.pick("number"))

    def _add_call(self, fn: str) -> None:
        count = CALLS[fn]
        if fn in NUMERIC_CALLS:
            due = ["text" if fn == "number" and self.rng.random() < 0.5 else "number", "number", "number"]
        elif fn in LIST_CALLS:
            due = ["list", "number"]
        else:
            due = ["text", "number" if fn == "matches" else "text"]
        args = map(self.pick, due[:count])
        self.add(_RESULTS.get(fn, "number"), "call", *args, fn=fn, **STATIC.get(fn, {}))


def make_reward(seed: int) -> RewardGraph:
    """A reward with some of its numbers as terms."""
    rng = random.Random(seed)
    maker = _Maker(rng)
    for _ in range(rng.randint(2, 18)):
        maker.add_any()
    last = maker.kinds["number"][-1]
    terms = rng.sample(maker.kinds["number"], rng.randint(0, 3))
    value = rng.choice([None, None, 0.0, -2.0])
    return RewardGraph(
        name="r",
        dialogue="d",
        dataset="rows",
        range=(0, 1),
        nodes=tuple(maker.nodes),
        terms=(*(term for term in terms if term != last), last),
        result=last,
        on_failure=OnFailure() if value is None else OnFailure(action="value", value=value),
    )


def make_group(seed: int, *, leaves_out: bool = False) -> Group:
    """A row and up to four rollouts of its dialogue, with a judge that sometimes fails."""
    rng = random.Random(seed)
    item = {
        "gold": rng.choice([4, -3.5, 0, 1]),
        "size": rng.choice([0, 3, -2]),
        "note": rng.choice(TEXTS),
        "grade": rng.choice(["easy", "hard"]),
        "flag": rng.random() < 0.5,
        "tags": rng.choices(TEXTS, k=rng.randint(0, 2)),
        "raw": rng.choice([1, "a", True, 2.5, ["a"]]),
    }
    rollouts = [_make_rollout(rng, leaves_out) for _ in range(rng.randint(1, 4))]
    return Group(item, rollouts, Judgements(seed))


def _make_rollout(rng: random.Random, leaves_out: bool) -> Rollout:
    scenario = rng.choice(sorted(FACTS.scenarios))
    turns = FACTS.scenarios[scenario]
    count = rng.randint(0 if leaves_out else turns.low, int(turns.high))
    given: dict[str, str | tuple[str, ...] | None] = {
        "final": None if leaves_out and rng.random() < 0.3 else rng.choice(TEXTS),
        "explain": tuple(rng.choices(TEXTS, k=count)),
        "hint": tuple(rng.choices(TEXTS, k=rng.randint(0, count) if leaves_out else count)),
    }
    num_turns = sum(len(text) if isinstance(text, tuple) else text is not None for text in given.values())
    return Rollout(scenario, given, rng.choice([0, 7, 300]), num_turns, rng.randint(0, 9))


def draw_rewards() -> st.SearchStrategy[RewardGraph]:
    """Rewards."""
    return st.integers(0, 2**40).map(make_reward)


def draw_groups(*, leaves_out: bool = False) -> st.SearchStrategy[Group]:
    """Groups to evaluate them on."""
    return st.integers(0, 2**40).map(lambda seed: make_group(seed, leaves_out=leaves_out))
