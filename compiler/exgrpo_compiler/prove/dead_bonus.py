"""`dead-bonus`: a part of the total that division by the group's deviation takes out again.

Write the total as S + T. If inside every group T = a S + c, with a and c free to differ between groups, then the total is
(1 + a) S + c there, and (r - mean) / deviation is that of S where 1 + a > 0, nothing where 1 + a = 0, its reverse where 1 + a < 0.
With `baseline: scenario` c is free for each scenario too, since each has its own mean. S and T are compared over groups that the
stage can draw, with the values that the group's own means take there; one where they are not related refutes a part. What is left is
only reported where all groups were looked at, or where `affine` proves it of groups of any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from exgrpo_artifact.graph import Node
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.advantages import centre_block
from exgrpo_compiler.prove.affine import find_slope, has_gaps, prove_affine
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.groups import get_frame, is_all_tried
from exgrpo_compiler.prove.memo import remember
from exgrpo_compiler.prove.model import FAILED, Kind, RewardModel
from exgrpo_compiler.prove.no_signal import has_no_signal
from exgrpo_compiler.prove.summands import Part, compute_rows, iterate_parts
from exgrpo_compiler.prove.table import Table
from exgrpo_compiler.prove.training import Training, build_training
from exgrpo_compiler.prove.unused_terms import has_term_off
from exgrpo_compiler.prove.wordings import format_figure, name_part
from exgrpo_compiler.prove.worlds import MAX_PATTERNS, Sampling

NUM_KINDS = 12
"""Kinds of rollouts for each scenario."""
MOST_GROUPS = 4096
"""Groups up to which all are looked at, where nothing shorter decides."""
TOLERANCE = 1e-9

Effect = Literal["dead", "erased", "reversed"]
"""Of 1 + a: above 0, 0, below 0."""


class DeadPart(Record):
    """A part of the total and what it does to the rest."""

    node: str
    """Where it is computed."""
    effect: Effect
    slope: float
    """a, in one of the groups."""
    is_constant: bool
    """Whether it is the same for all rollouts under one baseline, so that no scale brings it back."""


class Verdict(NamedTuple):
    """What a part does."""

    effect: Effect
    slope: float
    is_constant: bool


class Scene(NamedTuple):
    """One group that can be drawn."""

    table: Table
    rows: slice
    """Those of the table that are the group's kinds."""
    blocks: Sequence[Sequence[tuple[int, int]]]
    """The trained kinds under one baseline: place among the kinds and how many there are."""
    present: Sequence[int]
    """Places of all kinds that are in the group."""

    def read(self, node: str, anatomy: Anatomy) -> Sequence[Any]:
        """What a node is in each kind."""
        return self.table.spread(node, anatomy)[self.rows]

    def is_whole(self, anatomy: Anatomy) -> bool:
        """Whether every rollout has a total."""
        totals = self.read(anatomy.graph.result, anatomy)
        return all(_is_number(totals[at]) for at in self.present)


class Search:
    """The groups that a stage can draw, so far as they were looked at, and what was computed there."""

    def __init__(self, model: RewardModel, sampling: Sampling, baseline: str) -> None:
        self.anatomy = model.anatomy
        self.nodes = {node.id: node for node in model.anatomy.graph.nodes}
        self.removed: list[Part] = []
        self._scenes: list[Scene] = []
        self.sampling, self.baseline = sampling, baseline
        self._source = _iterate_scenes(model.anatomy, sampling, baseline)
        self._values: dict[tuple[Part, int], tuple[Scene, list[float | None]]] = {}
        self._verdicts: dict[tuple[Part, int], Verdict | None] = {}
        self._rises: dict[Part, int] = {}
        key = ("refuting", sampling.identify(), baseline)
        self.refuting: dict[tuple[Part, ...], Scene] = model.anatomy.shape.keep(key, dict)
        """The group that refuted a part last, with those removed before."""

    def replay(self) -> Iterator[Scene]:
        """The scenes so far, then new ones, which are kept: most parts are found alive in the first few."""
        yield from list(self._scenes)
        for scene in self._source:
            self._scenes.append(scene)
            yield scene

    def compute(self, part: Part, scene: Scene) -> list[float | None]:
        """What the part comes to in each kind."""
        key = part, id(scene)
        if key not in self._values:
            self._values[key] = scene, compute_rows(part, lambda node: scene.read(node, self.anatomy))
        return self._values[key][1]

    def judge(self, part: Part) -> Verdict | None:
        """What the part does, beside those removed before it."""
        key = part, len(self.removed)
        if key not in self._verdicts:
            self._verdicts[key] = None if self._is_refuted_as_before(part) else _judge(part, self)
        return self._verdicts[key]

    def _is_refuted_as_before(self, part: Part) -> bool:
        """Whether the group that refuted the part in another reward of the shape does so here: one is enough."""
        scene = self.refuting.get((part, *self.removed))
        if scene is None:
            return False
        return scene.is_whole(self.anatomy) and _compare_scene(part, self, scene) is False

    def list_slopes(self, part: Part) -> list[float] | None:
        """The slopes of the part in all groups that there can be; None where it changes one, or they are too many."""
        most = next(
            (
                most
                for most in (MAX_PATTERNS, MOST_GROUPS)
                if is_all_tried(self.anatomy, self.sampling, NUM_KINDS, most)
            ),
            None,
        )
        if most is None or has_gaps(self.anatomy):
            return None
        slopes: list[float] = []
        for scene in _iterate_scenes(self.anatomy, self.sampling, self.baseline, most, are_whole=False):
            slope = _compare_scene(part, self, scene) if scene.is_whole(self.anatomy) else False
            if slope is False:
                return None
            if slope is not None:
                slopes.append(slope)
        return slopes

    def follow(self, part: Part, score: str | None) -> int:
        """Whether the part says what the score says: 2 for the score itself, 1 where it rises with it, else 0."""
        if part not in self._rises:
            self._rises[part] = _follow_score(part, score, self)
        return self._rises[part]


def find_dead_parts(
    model: RewardModel, sampling: Sampling, baseline: str, scale: str, score: str | None
) -> list[DeadPart]:
    """Parts of the total that change no advantage, those that erase it, and those that turn it round.

    `score` is the term that says whether an answer is right: of two parts that are each other's multiple, it stays. Where nothing
    is divided by the group's deviation, only what is the same for all under one baseline changes nothing.
    """
    search = Search(model, sampling, baseline)
    nodes, removed = search.nodes, search.removed
    found: list[DeadPart] = []
    for parts in _list_sums(model.anatomy, nodes):
        candidates = [
            part for part in parts if not _is_literal(part, nodes) and _has_company(part, parts, search)
        ]
        left = [part for part in candidates if not any(_covers(gone, part, nodes) for gone in removed)]
        if all(search.judge(part) is None for part in left):
            continue
        rises = {part: search.follow(part, score) for part in candidates}
        for part in sorted(candidates, key=lambda one: rises[one]):
            if any(_covers(gone, part, nodes) for gone in removed):
                continue
            verdict = search.judge(part)
            if verdict is None or (scale == "none" and not verdict.is_constant):
                continue
            # What rises with the score is what the rest takes away or turns round, not the other way about.
            if verdict.effect == "dead" or not rises[part]:
                found.append(DeadPart(part.node, *verdict))
                removed.append(part)
                if verdict.effect != "dead":
                    return found
    return found


def _list_sums(anatomy: Anatomy, nodes: Mapping[str, Node]) -> list[tuple[Part, ...]]:
    sums: list[tuple[Part, ...]] = anatomy.shape.keep(
        "sums", lambda: list(iterate_parts(Part(anatomy.graph.result), nodes))
    )
    return sums


def _follow_score(part: Part, score: str | None, search: Search) -> int:
    if score is None:
        return 0
    if part.node == score and not part.guards:
        return 2
    for scene in search.replay():
        values = search.compute(part, scene)
        scores = scene.read(score, search.anatomy)
        rows = [
            (float(scores[at]), value)
            for at in scene.present
            if (value := values[at]) is not None and _is_number(scores[at])
        ]
        if len({one for one, _ in rows}) > 1:
            mean = sum(one for one, _ in rows) / len(rows)
            return int(sum((one - mean) * value for one, value in rows) > TOLERANCE)
    return 0


def _is_literal(part: Part, nodes: Mapping[str, Node]) -> bool:
    node = nodes[part.node]
    if node.op != "const":
        return False
    return node.params["value"] == 0 or (
        not part.guards and all(nodes[id_].op == "const" for id_ in part.factors)
    )


def _has_company(part: Part, parts: Sequence[Part], search: Search) -> bool:
    """Whether something else that is left is paid beside it: the arms of `1 if … else -1` are no bonus to each other."""
    return any(
        other is not part
        and not any((test, not due) in part.guards for test, due in other.guards)
        and not _is_literal(other, search.nodes)
        and not any(_covers(gone, other, search.nodes) for gone in search.removed)
        for other in parts
    )


def _covers(gone: Part, part: Part, nodes: Mapping[str, Node]) -> bool:
    """Whether `part` is one of those that `gone` splits into."""
    if part == gone:
        return True
    return any(part in parts for parts in iterate_parts(gone, nodes))


def _judge(part: Part, search: Search) -> Verdict | None:
    """What the part does in all groups alike; None where it changes some group, or where it is not proved that it changes none."""
    slopes: list[float] = []
    for scene in search.replay():
        slope = _compare_scene(part, search, scene)
        if slope is False:
            search.refuting[part, *search.removed] = scene
            return None
        if slope is not None:
            slopes.append(slope)
    if not slopes:
        return None
    proof = prove_affine(search.anatomy, search.sampling, search.baseline, part, search.removed)
    is_dead = proof is not None and proof.least > -1 + TOLERANCE
    is_constant = proof is not None and proof.is_zero
    if not is_dead:
        known = search.list_slopes(part)
        if known:
            slopes, is_dead = known, min(known) > -1 + TOLERANCE
            is_constant = all(abs(slope) <= TOLERANCE for slope in known)
        elif proof is None:
            return None
    if is_dead:
        return Verdict("dead", slopes[-1], is_constant)
    erased = next((slope for slope in slopes if abs(slope + 1) <= TOLERANCE), None)
    if erased is not None:
        return Verdict("erased", erased, False)
    return Verdict("reversed", min(slopes), False) if min(slopes) < -1 else None


def _compare_scene(part: Part, search: Search, scene: Scene) -> float | Literal[False] | None:
    """The a of T = a S + c inside this group; None where neither S nor T varies; False where there is no such a."""
    T, totals = search.compute(part, scene), scene.read(search.anatomy.graph.result, search.anatomy)
    gone = [search.compute(one, scene) for one in search.removed]
    rest: list[float] = []
    own: list[float] = []
    size = 0.0
    for block in scene.blocks:
        s_block: list[float] = []
        t_block: list[float] = []
        for at, _ in block:
            t = T[at]
            if t is None:
                return False
            s = float(totals[at]) - t
            if gone:
                others = [column[at] for column in gone]
                if None in others:
                    return False
                s -= sum([other for other in others if other is not None])
            s_block.append(s)
            t_block.append(t)
            size = max(size, abs(s), abs(t))
        counts = [count for _, count in block]
        rest += centre_block(s_block, counts)
        own += centre_block(t_block, counts)
    return find_slope(rest, own, size + 1e-12)


# --- groups -----------------------------------------------------------------------------------------------


def _iterate_scenes(
    anatomy: Anatomy, sampling: Sampling, baseline: str, most: int = MAX_PATTERNS, *, are_whole: bool = True
) -> Iterator[Scene]:
    key = ("scenes", sampling.identify(), baseline, most)
    drawn: list[list[Scene]] = anatomy.shape.keep(key, list)
    frame = get_frame(anatomy, sampling, NUM_KINDS, most)
    for number, (table, trained) in enumerate(frame.iterate_tables()):
        if number == len(drawn):
            drawn.append(_list_scenes(frame.kinds, table, trained, baseline))
        yield from (scene for scene in drawn[number] if not are_whole or scene.is_whole(anatomy))


def _list_scenes(
    kinds: Sequence[Kind], table: Table, trained: Sequence[Sequence[int]], baseline: str
) -> list[Scene]:
    scenes: list[Scene] = []
    for number, (counts, places) in enumerate(zip(table.groups, trained, strict=True)):
        start = number * len(kinds)
        blocks: dict[str, list[tuple[int, int]]] = {}
        for at in places:
            key = kinds[at].scenario if baseline == "scenario" else ""
            blocks.setdefault(key, []).append((at, counts[at]))
        present = [at for at, count in enumerate(counts) if count]
        scenes.append(Scene(table, slice(start, start + len(kinds)), list(blocks.values()), present))
    return scenes


def _is_number(value: object) -> bool:
    return value is not FAILED and isinstance(value, int | float)


# --- words ------------------------------------------------------------------------------------------------

_SAYS: Final[Mapping[Effect, str]] = {
    "dead": "{part} changes no advantage: inside every group it is a multiple of the rest of `total`, plus a constant.",
    "erased": "{part} takes all signal away in some groups: there it is the rest of `total` with the opposite sign, plus a constant.",
    "reversed": "{part} turns the reward round in some groups: there it is {slope} times the rest of `total`, plus a constant.",
}


_CONSTANT: Final = "{part} changes no advantage: it is the same for all rollouts of a {per}, and their mean takes it out again."


@remember
def _find_in(training: Training) -> list[DeadPart]:
    score = training.outcome.term if training.outcome is not None else None
    return find_dead_parts(training.model, training.sampling, training.baseline, training.scale, score)


def prove_dead_bonus(training: TrainCase) -> Iterable[Diagnostic]:
    """`dead-bonus` of a stage. A reward with a term turned off is left alone: what it makes of the others was asked for."""
    keyed = build_training(training)
    if has_term_off(training.case) or has_no_signal(keyed):
        return
    for found in _find_in(keyed):
        part = name_part(training.case, found.node)
        says = _CONSTANT if found.is_constant else _SAYS[found.effect]
        per = "scenario" if training.stage.settings["baseline"] == "scenario" else "group"
        yield Diagnostic(
            "dead-bonus",
            "warning",
            says.format(part=part, slope=format_figure(found.slope), per=per),
            training.case.spans[found.node],
            (Label(training.span, _describe_stage(training, found)),),
            _suggest_cure(training, found),
        )


def _describe_stage(training: TrainCase, found: DeadPart) -> str:
    group = training.stage.settings["group"]
    names = " and ".join(f"`{name}`" for name in group)
    only = "only " if len(group) == 1 else ""
    trained = f"this group trains {only}{names} rollouts"
    if found.is_constant:
        return (
            f"{trained}, and each total has the mean of its {training.stage.settings['baseline']} subtracted"
        )
    return f"{trained}, and `scale: group` divides by its standard deviation"


def _suggest_cure(training: TrainCase, found: DeadPart) -> str:
    settings = training.stage.settings
    if found.effect != "dead":
        return "make its weight smaller than that of the rest"
    compare = list(settings["compare"] or {})
    cure = "a part counts where it differs between rollouts that earn the same without it"
    if compare and len(settings["group"]) == 1:
        own = next(iter(settings["group"]))
        cure = f"train both scenarios in one group, as group: {{ {own}: 4, {compare[0]}: 4 }}"
    return cure if found.is_constant else f"{cure}; or write scale: none"
