"""`hackable`: junk that earns at least what an honest right answer earns, found by running the reward on it.

Totals are compared inside one group of honest rollouts, right and wrong ones of each scenario: the junk is scored there and
no mean sees it. A judge gives its best to the junk and its worst to the honest. A text is a hack only if it pays for every
one of several rows, so that a constant which happens to be right is none, and only if something else earns less: a reward
that is gated by a judge may give a right answer nothing, and then junk that gets nothing is no hack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from exgrpo_artifact.record import Record, replace
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.attacks import ECHO, Attack, list_attacks, repeat_question
from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.prove.memo import Keyed, remember
from exgrpo_compiler.prove.model import FAILED, Kind
from exgrpo_compiler.prove.reading import Reader, count_tokens
from exgrpo_compiler.prove.synthetic import (
    NUM_ROWS,
    Forms,
    Golds,
    Row,
    find_forms,
    find_golds,
    make_rows,
    write_honest,
)
from exgrpo_compiler.prove.table import Table
from exgrpo_compiler.prove.training import dissect_reward, find_scales
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
    forms: tuple[Forms, ...]
    key: Any
    """Equal where dialogue and dataset are, as far as junk is concerned."""


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
    """The bench of a reward, under a key that says all of it."""
    dataset: CheckedDataset = case.program.known[case.reward.dataset]
    anatomy = dissect_reward(case)
    exchanges = tuple(
        [(e.name, e.in_loop, e.answer, e.target and e.target.text) for e in case.dialogue.exchanges]
    )
    fields = tuple([(field.name, field.type, field.secret) for field in dataset.fields])
    key = (exchanges, fields, _sample_all(case.dialogue).identify())

    def make() -> Bench:
        golds = anatomy.shape.keep("golds", lambda: find_golds(case.graph))
        forms = anatomy.shape.keep("forms", lambda: find_forms(case.graph))
        return Bench(case.dialogue, dataset, anatomy, find_scales(case), golds, forms, key)

    return Keyed(make, (anatomy.shape, anatomy.texts, key))


class Arena:
    """One row with the honest rollouts of a group, and texts that are scored beside them; for all rewards of a shape."""

    def __init__(self, bench: Bench, row: Row, other: Row, attacks: Sequence[Attack]) -> None:
        shape = bench.anatomy.shape
        self.attacks = attacks
        self._row = row
        self._reader: Reader = shape.keep("reader", lambda: Reader(bench.anatomy, bench.scales))
        self._sampling = _sample_all(bench.dialogue)
        self._sees_length = any(node.op in ("tokens", "num_turns") for node in bench.anatomy.graph.nodes)
        self._looped = frozenset(e.name for e in bench.dialogue.exchanges if e.in_loop)
        honest = write_honest(bench.dialogue, bench.golds, row, row, bench.forms)
        mistaken = write_honest(bench.dialogue, bench.golds, row, other, bench.forms)
        kinds = [kind for turns in (*honest, *mistaken) for kind in self._make_kinds(turns, False)]
        self._num_right, self._num_honest = len(honest), len(kinds)
        self._places: list[list[int]] = []
        """Of each attack, its kinds; what is read alike is one kind."""
        known: dict[Any, int] = {}
        names = [exchange.name for exchange in bench.dialogue.exchanges]
        for attack in attacks:
            places: list[int] = []
            for kind in self._make_kinds(dict.fromkeys(names, attack.text), True):
                key = (kind.scenario, kind.num_turns, *map(repr, kind.atoms.values()))
                if key not in known:
                    known[key] = len(kinds)
                    kinds.append(kind)
                places.append(known[key])
            self._places.append(places)
        self._worded = range(len(kinds), len(kinds))
        """Kinds of a right answer that has all words in it that the reward searches for."""
        words = {form.turn: " ".join(form.words) for form in bench.forms if form.words}
        if words:
            said = {
                name: f"{words[name]} {text}" if name in words else text for name, text in honest[-1].items()
            }
            kinds += self._make_kinds(said, False)
            self._worded = range(self._worded.start, len(kinds))
        counts = [1 if at < self._num_honest else 0 for at in range(len(kinds))]
        self._table = Table(bench.anatomy, kinds, kinds[0].atoms if kinds else {}, [counts])

    def lacks_words(self, anatomy: Anatomy) -> bool:
        """Whether all that was tried earns the same, and a right answer that has the reward's own words in it earns more."""
        totals = self._table.spread(anatomy.graph.result, anatomy)
        if not self._worded or not all(map(_is_number, totals)):
            return False
        tried = [float(total) for at, total in enumerate(totals) if at not in self._worded]
        return max(tried) - min(tried) <= TOLERANCE and any(
            totals[at] > tried[0] + TOLERANCE for at in self._worded
        )

    def _make_kinds(self, turns: Mapping[str, str], is_praised: bool) -> list[Kind]:
        sampling = self._sampling
        kinds: list[Kind] = []
        for scenario, probes in sampling.turns.items():
            most = probes[-1]
            length = most if self._sees_length else 0
            num_turns = most * sampling.looped + sampling.closing if length else 0
            tokens = count_tokens(turns, self._looped, most) if self._sees_length else 0
            atoms = self._reader.read(self._row, turns, num_turns, tokens, is_praised=is_praised)
            kinds.append(Kind(scenario, atoms, most))
        return kinds

    def score(self, anatomy: Anatomy, is_wanted: Callable[[Score], bool] | None = None) -> list[Score]:
        """What each text earns, in each scenario of the dialogue, said in every turn; junk without a total is left out."""
        totals = self._table.spread(anatomy.graph.result, anatomy)
        step = len(self._sampling.turns)
        scores: list[Score] = []
        for place in range(step):
            right = _find_best(totals, range(place, self._num_right * step, step))
            wrong = _find_best(totals, range(self._num_right * step + place, self._num_honest, step))
            if right is None or wrong is None:
                continue
            tried = {*range(place, self._num_honest, step), *(places[place] for places in self._places)}
            ends = (float(totals[right]), float(totals[wrong]))
            least = min(float(totals[at]) for at in tried if _is_number(totals[at]))
            known: dict[int, Score | None] = {}
            for attack, places in zip(self.attacks, self._places, strict=True):
                at = places[place]
                if at not in known:
                    known[at] = self._score_kind(at, right, ends, least, attack, anatomy, is_wanted)
                score = known[at]
                if score is not None:
                    scores.append(replace(score, attack=attack))
        return scores

    def _score_kind(
        self,
        at: int,
        right: int,
        ends: tuple[float, float],
        least: float,
        attack: Attack,
        anatomy: Anatomy,
        is_wanted: Callable[[Score], bool] | None,
    ) -> Score | None:
        total = self._table.spread(anatomy.graph.result, anatomy)[at]
        if not _is_number(total):
            return None
        score = Score(attack, self._table.kinds[at].scenario, float(total), *ends, least, ())
        if is_wanted is not None and not is_wanted(score):
            return None
        terms: list[tuple[str, float, float]] = []
        for term in anatomy.graph.terms:
            if term != anatomy.graph.result:
                values = self._table.spread(term, anatomy)
                if _is_number(values[at]) and _is_number(values[right]):
                    terms.append((term, float(values[at]), float(values[right])))
        return replace(score, terms=tuple(terms))


def _sample_all(dialogue: CheckedDialogue) -> Sampling:
    return describe_sampling(dialogue, dict.fromkeys(dialogue.scenarios, 4), {})


def _find_best(totals: Sequence[Any], places: Iterable[int]) -> int | None:
    known = [at for at in places if _is_number(totals[at])]
    return max(known, key=lambda at: float(totals[at])) if known else None


def _is_number(value: Any) -> bool:
    return value is not FAILED and isinstance(value, int | float)


def find_hacks(bench: Bench) -> list[Score]:
    """Texts of the small corpus that pay on every row, in the first scenario where they do; the best paid first."""
    if any(form.words for form in bench.forms):
        arenas = [_get_arena(bench, at) for at in range(NUM_ROWS)]
        if all(arena.lacks_words(bench.anatomy) for arena in arenas):
            return [score for score in arenas[0].score(bench.anatomy) if not score.attack.text][:1]
    found: dict[tuple[str, str], Score] = {}
    for at in range(NUM_ROWS):
        arena = _get_arena(bench, at)
        # After the first row only those that paid there matter, whatever else would earn.
        kept = arena.score(
            bench.anatomy, (lambda one: one.is_hack) if at == 0 else (lambda one: one.reaches_right)
        )
        hacks = {(_identify(score.attack), score.scenario): score for score in kept}
        found = hacks if at == 0 else {key: score for key, score in found.items() if key in hacks}
        if not found:
            return []
    return sorted(found.values(), key=lambda score: (-score.total, len(score.attack.text)))


def _get_arena(bench: Bench, at: int) -> Arena:
    """The arena of one of the made-up rows, with the small corpus."""

    def make() -> Arena:
        rows = make_rows(bench.dataset, bench.golds)
        attacks = list_attacks(bench.dialogue, bench.dataset, bench.golds, bench.forms)
        echo = repeat_question(bench.dataset, rows[at])
        return Arena(bench, rows[at], rows[(at + 1) % len(rows)], [*attacks, echo])

    arena: Arena = bench.anatomy.shape.keep(("arena", bench.key, at), make)
    return arena


def _identify(attack: Attack) -> str:
    """The echo of a question differs from row to row and is one attack all the same."""
    return attack.family if attack.family == ECHO else attack.text


@remember
def _find_in(bench: Bench) -> Score | None:
    hacks = find_hacks(bench)
    return hacks[0] if hacks else None


_HINT = (
    "pay for nothing but what a right answer has, as in `… if outcome == 1 else 0`; "
    "`exgrpo stress` shows what else is paid for"
)
_IDLE_HINT = "an honest right answer earns no more than anything else: do not make it depend on words that it need not say"


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
        _HINT if worst.is_hack else _IDLE_HINT,
    )


def _name_attack(attack: Attack) -> str:
    if not attack.text.strip():
        return "A completion that says nothing"
    if attack.family == ECHO:
        return "A completion that repeats the question"
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
