"""Groups of rollouts on which a reward and its mutant are compared where no test tells them apart.

Made from what the file's tests say, mixed anew, and from what they leave out: right, wrong, empty and missing turns, every
scenario, counts of tokens around every number in the reward, every answer of a judge. Drawn from a fixed seed: the same file
gives the same corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from exgrpo_artifact.operations import EXTERNAL_FUNCTIONS
from exgrpo_artifact.record import Record
from exgrpo_artifact.reward_table import Rollout
from exgrpo_artifact.values import Failed, Value
from exgrpo_compiler.checked_tests import CheckedTest
from exgrpo_compiler.ir import CheckedDialogue, CheckedProgram, CheckedReward, CheckedRubric, Typed
from exgrpo_compiler.program import Key

_SEED = 20
NUM_GROUPS = 120
"""Groups made for each reward."""
_MAX_SIZE = 6
_FILLER = ("", "I do not know.", "The answer is 0.", "The answer is -1.", "The answer is 1000000.")


class Group(Record):
    """A generated group and what judges answer about it."""

    item: Mapping[str, Any]
    rollouts: tuple[Rollout, ...]
    judgements: tuple[Mapping[str, tuple[Value, ...]], ...]


def make_groups(program: CheckedProgram, key: Key, tests: Sequence[CheckedTest]) -> tuple[Group, ...]:
    """Groups for a reward; `tests` are those that name it."""
    reward: CheckedReward = program.known[key]
    maker = _Maker(program, reward, tests, Random(_SEED))
    return tuple(maker.make_group() for _ in range(NUM_GROUPS)) if tests else ()


class _Maker:
    def __init__(
        self, program: CheckedProgram, reward: CheckedReward, tests: Sequence[CheckedTest], rng: Random
    ) -> None:
        self.rng = rng
        self.tests = tests
        dialogue: CheckedDialogue = program.known[reward.dialogue]
        self.scenarios = sorted(dialogue.scenarios)
        self.looped = [exchange.name for exchange in dialogue.exchanges if exchange.in_loop]
        self.single = [exchange.name for exchange in dialogue.exchanges if not exchange.in_loop]
        nodes = [node for tree in reward.terms.values() for node in _walk(tree)]
        self.tokens = sorted(_collect_tokens(nodes))
        self.judges = {
            term: _list_answers(program, node)
            for term, tree in reward.terms.items()
            for node in _walk(tree)
            if node.op == "call" and node.params.get("fn") in EXTERNAL_FUNCTIONS
        }
        self.judge_is_turn = {
            term: node.level == "turn"
            for term, tree in reward.terms.items()
            for node in _walk(tree)
            if node.op == "call" and node.params.get("fn") in EXTERNAL_FUNCTIONS
        }

    def make_group(self) -> Group:
        test = self.rng.choice(list(self.tests))
        texts = self._collect_texts(test)
        size = self.rng.randint(1, _MAX_SIZE)
        made = [self._make_rollout(test, texts) for _ in range(size)]
        return Group(test.item, tuple(one for one, _ in made), tuple(answers for _, answers in made))

    def _collect_texts(self, test: CheckedTest) -> list[str]:
        """Texts of the test's own turns, sentences that state a field of its row, and fillers."""
        own = [
            text
            for one in test.group
            for turn in one.turns.values()
            for text in ((turn,) if isinstance(turn, str) else turn or ())
        ]
        stated = [
            f"The answer is {value}." for value in test.item.values() if isinstance(value, str | int | float)
        ]
        return [*dict.fromkeys(own), *stated, *_FILLER]

    def _make_rollout(
        self, test: CheckedTest, texts: Sequence[str]
    ) -> tuple[Rollout, dict[str, tuple[Value, ...]]]:
        count = self.rng.randint(0, 3) if self.looped else 0
        turns: dict[str, Any] = {
            name: tuple(self.rng.choice(texts) for _ in range(count)) for name in self.looped
        }
        for name in self.single:
            turns[name] = None if self.rng.random() < 0.05 else self.rng.choice(texts)
        answers = {
            term: tuple(self.rng.choice(values) for _ in range(count if self.judge_is_turn[term] else 1))
            for term, values in self.judges.items()
        }
        num_turns = count * len(self.looped) + sum(turns[name] is not None for name in self.single)
        rollout = Rollout(
            self.rng.choice(self.scenarios or [""]),
            turns,
            self.rng.choice(self.tokens),
            num_turns,
            self.rng.getrandbits(32),
        )
        return rollout, answers


def _walk(tree: Typed) -> list[Typed]:
    return [tree, *(node for arg in tree.args for node in _walk(arg))]


def _collect_tokens(nodes: Sequence[Typed]) -> set[int]:
    """Around every number of the reward, since it may be a bound."""
    found = {0, 1, 50, 5000}
    for node in nodes:
        value = node.params.get("value") if node.op == "const" else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value < 1e9:
            found |= {int(value) - 1, int(value), int(value) + 1, int(value * 1.5), int(value * 2) + 1}
    return found


def _list_answers(program: CheckedProgram, node: Typed) -> list[Value]:
    rubric = program.known.get(node.params.get("rubric", Key("", "")))
    if node.params["fn"] == "similarity":
        return [-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, Failed("no answer")]
    if not isinstance(rubric, CheckedRubric):
        return [True, False, Failed("no answer")]
    low, high = rubric.scale
    steps = [low + (high - low) * step / 4 for step in range(5)]
    return [*steps, Failed("no answer")]
