"""`hackable`: junk that earns at least what an honest right answer earns, found by running the reward on it.

Totals are compared inside one group of honest rollouts, right and wrong ones of each scenario: the junk is scored there and
no mean sees it. A judge gives its best to the junk and its worst to the honest. A text is a hack only if it pays for every
one of several rows, so that a constant which happens to be right is none, and only if something else earns less: a reward
that is gated by a judge may give a right answer nothing, and then junk that gets nothing is no hack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.attacks import Attack, list_attacks, repeat_question
from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.prove.memo import Keyed, remember
from exgrpo_compiler.prove.model import FAILED, Bound, Kind, RewardModel
from exgrpo_compiler.prove.reading import Reader, count_tokens
from exgrpo_compiler.prove.synthetic import Golds, Row, find_golds, make_rows, write_honest
from exgrpo_compiler.prove.training import describe_graph, dissect_reward, find_scales
from exgrpo_compiler.prove.wordings import format_figure
from exgrpo_compiler.prove.worlds import Sampling, describe_sampling

TOLERANCE = 1e-9
MAX_SHOWN = 40
MOST_TOKENS = 1 << 30


class Bench(Record):
    """A reward set up to be attacked."""

    dialogue: CheckedDialogue
    dataset: CheckedDataset
    anatomy: Anatomy
    scales: Mapping[str, tuple[float, float]]
    golds: tuple[Golds, ...]


class Score(Record):
    """What a text earns on one row in one scenario, beside honest answers there."""

    attack: Attack
    scenario: str
    total: float
    right: float
    wrong: float
    least: float
    """The least that anything tried earned."""
    terms: tuple[tuple[str, float, float], ...]
    """Term, for the attack and for the right answer."""

    @property
    def is_hack(self) -> bool:
        """Whether it earns what an honest right answer earns, and more than some other junk."""
        return self.reaches_right and self.total > self.least + TOLERANCE

    @property
    def reaches_right(self) -> bool:
        """Whether it earns what an honest right answer earns."""
        return self.total >= self.right - TOLERANCE


def build_bench(case: RewardCase) -> Keyed[Bench]:
    """The bench of a reward, under a text that says all of it."""
    dataset: CheckedDataset = case.program.known[case.reward.dataset]

    def make() -> Bench:
        return Bench(case.dialogue, dataset, dissect_reward(case), find_scales(case), find_golds(case.graph))

    exchanges = [(e.name, e.in_loop, e.answer, e.target and e.target.text) for e in case.dialogue.exchanges]
    fields = [(field.name, field.type, field.secret) for field in dataset.fields]
    return Keyed(make, repr((describe_graph(case), exchanges, sorted(case.dialogue.scenarios), fields)))


class Arena:
    """One row with the honest rollouts of a group; scores texts in it."""

    def __init__(self, bench: Bench, row: Row, other: Row) -> None:
        self.bench = bench
        self._row = row
        self._reader = Reader(bench.anatomy, bench.scales)
        self._model = RewardModel(bench.anatomy)
        self._sampling = _sample_all(bench.dialogue)
        self._sees_length = any(node.op in ("tokens", "num_turns") for node in bench.anatomy.graph.nodes)
        self._looped = frozenset(e.name for e in bench.dialogue.exchanges if e.in_loop)
        honest = write_honest(bench.dialogue, bench.golds, row, row)
        mistaken = write_honest(bench.dialogue, bench.golds, row, other)
        self._sides = [self._make_kinds(turns, False) for turns in (*honest, *mistaken)]
        self._num_right = len(honest)

    def score(self, attacks: Sequence[Attack]) -> list[Score]:
        """What each text earns, in each scenario of the dialogue, said in every turn; junk without a total is left out."""
        names = [exchange.name for exchange in self.bench.dialogue.exchanges]
        kinds = [kind for side in self._sides for kind in side]
        num_honest = len(kinds)
        for attack in attacks:
            kinds += self._make_kinds(dict.fromkeys(names, attack.text), True)
        row = next((kind.atoms for kind in kinds), {})
        bound = self._model.bind(kinds, row)
        columns = bound.score([1 if at < num_honest else 0 for at in range(len(kinds))])
        return self._compare(attacks, bound, columns, num_honest)

    def _make_kinds(self, turns: Mapping[str, str], is_praised: bool) -> list[Kind]:
        sampling = self._sampling
        kinds: list[Kind] = []
        read: dict[int, dict[str, float | None]] = {}
        for scenario, probes in sampling.turns.items():
            most = probes[-1]
            length = most if self._sees_length else 0
            if length not in read:
                num_turns = most * sampling.looped + sampling.closing
                tokens = count_tokens(turns, self._looped, most)
                read[length] = self._reader.read(self._row, turns, num_turns, tokens, is_praised=is_praised)
            kinds.append(Kind(scenario, read[length], most))
        return kinds

    def _compare(
        self, attacks: Sequence[Attack], bound: Bound, columns: Mapping[str, Any], num_honest: int
    ) -> list[Score]:
        graph = self.bench.anatomy.graph
        totals = bound.spread(columns[graph.result])
        terms = {term: bound.spread(columns[term]) for term in graph.terms if term != graph.result}
        step = len(self._sampling.turns)
        scores: list[Score] = []
        for place in range(step):
            right = _find_best(totals, range(place, self._num_right * step, step))
            wrong = _find_best(totals, range(self._num_right * step + place, num_honest, step))
            if right is None or wrong is None:
                continue
            least = min(float(total) for total in totals[place::step] if _is_number(total))
            for number, attack in enumerate(attacks):
                at = num_honest + number * step + place
                if not _is_number(totals[at]):
                    continue
                shown = tuple(
                    (term, float(values[at]), float(values[right]))
                    for term, values in terms.items()
                    if _is_number(values[at]) and _is_number(values[right])
                )
                scores.append(
                    Score(
                        attack,
                        bound.kinds[at].scenario,
                        float(totals[at]),
                        float(totals[right]),
                        float(totals[wrong]),
                        least,
                        shown,
                    )
                )
        return scores


def _sample_all(dialogue: CheckedDialogue) -> Sampling:
    return describe_sampling(dialogue, dict.fromkeys(dialogue.scenarios, 4), {})


def _find_best(totals: Sequence[Any], places: Iterable[int]) -> int | None:
    known = [at for at in places if _is_number(totals[at])]
    return max(known, key=lambda at: float(totals[at])) if known else None


def _is_number(value: Any) -> bool:
    return value is not FAILED and isinstance(value, int | float)


def find_hacks(bench: Bench) -> list[Score]:
    """Texts of the small corpus that pay on every row, in the first scenario where they do; the best paid first."""
    rows = make_rows(bench.dataset, bench.golds)
    attacks: Sequence[Attack] = list_attacks(bench.dialogue, bench.dataset, bench.golds)
    found: dict[tuple[str, str], Score] = {}
    for at, row in enumerate(rows):
        echo = repeat_question(bench.dataset, row)
        arena = Arena(bench, row, rows[(at + 1) % len(rows)])
        # After the first row only those that paid are scored, so what else would earn is not known there.
        scores = arena.score([*attacks, echo])
        kept = [score for score in scores if (score.is_hack if at == 0 else score.reaches_right)]
        hacks = {(_identify(score.attack), score.scenario): score for score in kept}
        found = hacks if at == 0 else {key: score for key, score in found.items() if key in hacks}
        attacks = [attack for attack in attacks if any(_identify(attack) == key[0] for key in found)]
        if not found:
            return []
    return sorted(found.values(), key=lambda score: (-score.total, len(score.attack.text)))


def _identify(attack: Attack) -> str:
    """The echo of a question differs from row to row and is one attack all the same."""
    return attack.family if attack.family == "the question repeated" else attack.text


@remember
def _find_in(bench: Bench) -> Score | None:
    hacks = find_hacks(bench)
    return hacks[0] if hacks else None


def prove_hackable(case: RewardCase) -> Iterable[Diagnostic]:
    """`hackable` of a reward."""
    worst = _find_in(build_bench(case))
    if worst is None:
        return
    paid = [(name, value, honest) for name, value, honest in worst.terms if value > honest + TOLERANCE]
    yield Diagnostic(
        "hackable",
        "warning",
        f"{_name_attack(worst.attack)} earns {format_figure(worst.total)}, and an honest right answer "
        f"{format_figure(worst.right)}.",
        case.name_span,
        tuple(
            Label(
                case.term_spans[name],
                f"{format_figure(value)} for the junk, {format_figure(honest)} for the honest answer",
            )
            for name, value, honest in paid
        ),
        "pay for nothing but what a right answer has, as in `… if outcome == 1 else 0`; `exgrpo stress` shows what else is paid for",
    )


def _name_attack(attack: Attack) -> str:
    if not attack.text.strip():
        return "A completion that says nothing"
    return f"The completion {show_text(attack.text)} ({attack.family})"


def show_text(text: str, limit: int = MAX_SHOWN) -> str:
    r"""A completion as a message shows it: on one line, invisible characters escaped, cut where it is long.

    >>> show_text("The answer is .\n")
    '`The answer is .\\n`'
    """
    shown = "".join(
        one if one.isprintable() and one != "`" else one.encode("unicode_escape").decode()
        for one in text[: limit + 1]
    )
    return f"`{shown[: limit - 1]}…`" if len(shown) > limit else f"`{shown}`"
