"""`dead-bonus`: a part of the total that division by the group's deviation takes out again.

Write the total as S + T. If inside every group T = a S + c, with a and c free to differ between groups, then the total is
(1 + a) S + c there, and (r - mean) / deviation is that of S where 1 + a > 0, nothing where 1 + a = 0, its reverse where 1 + a < 0.
With `baseline: scenario` c is free for each scenario too, since each has its own mean. S and T are compared over the groups that
the stage can draw, with the values that the group's own means take there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from exgrpo_artifact.graph import Node
from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.advantages import centre_block
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.groups import get_frame
from exgrpo_compiler.prove.memo import remember
from exgrpo_compiler.prove.model import FAILED, Kind, RewardModel
from exgrpo_compiler.prove.no_signal import has_no_signal
from exgrpo_compiler.prove.summands import Part, compute_rows, iterate_parts
from exgrpo_compiler.prove.table import Table
from exgrpo_compiler.prove.training import Training, build_training
from exgrpo_compiler.prove.wordings import format_figure, name_part
from exgrpo_compiler.prove.worlds import Sampling

NUM_KINDS = 12
"""Kinds of rollouts for each scenario."""
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
        self._source = _iterate_scenes(model.anatomy, sampling, baseline)
        self._values: dict[tuple[Part, int], tuple[Scene, list[float | None]]] = {}
        self._verdicts: dict[tuple[Part, int], tuple[Effect, float] | None] = {}
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

    def judge(self, part: Part) -> tuple[Effect, float] | None:
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
        return scene.is_whole(self.anatomy) and _compare_scene(part, self, scene, set()) is False

    def follow(self, part: Part, score: str | None) -> int:
        """Whether the part says what the score says: 2 for the score itself, 1 where it rises with it, else 0."""
        if part not in self._rises:
            self._rises[part] = _follow_score(part, score, self)
        return self._rises[part]


def find_dead_parts(
    model: RewardModel, sampling: Sampling, baseline: str, score: str | None
) -> list[DeadPart]:
    """Parts of the total that change no advantage, those that erase it, and those that turn it round.

    `score` is the term that says whether an answer is right: of two parts that are each other's multiple, it stays.
    """
    search = Search(model, sampling, baseline)
    nodes, removed = search.nodes, search.removed
    found: list[DeadPart] = []
    for parts in _list_sums(model.anatomy, nodes):
        candidates = [part for part in parts if not _is_literal(part, nodes)]
        left = [part for part in candidates if not any(_covers(gone, part, nodes) for gone in removed)]
        if all(search.judge(part) is None for part in left):
            continue
        rises = {part: search.follow(part, score) for part in candidates}
        for part in sorted(candidates, key=lambda one: rises[one]):
            if any(_covers(gone, part, nodes) for gone in removed):
                continue
            verdict = search.judge(part)
            # What rises with the score is what the rest takes away or turns round, not the other way about.
            if verdict is not None and (verdict[0] == "dead" or not rises[part]):
                found.append(DeadPart(part.node, *verdict))
                removed.append(part)
                if verdict[0] != "dead":
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


def _covers(gone: Part, part: Part, nodes: Mapping[str, Node]) -> bool:
    """Whether `part` is one of those that `gone` splits into."""
    if part == gone:
        return True
    return any(part in parts for parts in iterate_parts(gone, nodes))


def _judge(part: Part, search: Search) -> tuple[Effect, float] | None:
    """What the part does in all groups alike; None where it changes some group, or where only samples say that it is constant."""
    slopes: list[float] = []
    seen: set[float] = set()
    for scene in search.replay():
        slope = _compare_scene(part, search, scene, seen)
        if slope is False:
            search.refuting[part, *search.removed] = scene
            return None
        if slope is not None:
            slopes.append(slope)
    if not slopes or (len(seen) == 1 and not _is_known_whole(part, search.anatomy)):
        return None
    if all(slope > -1 + TOLERANCE for slope in slopes):
        return "dead", slopes[-1]
    erased = next((slope for slope in slopes if abs(slope + 1) <= TOLERANCE), None)
    return ("erased", erased) if erased is not None else ("reversed", min(slopes))


def _is_known_whole(part: Part, anatomy: Anatomy) -> bool:
    """Whether all that the part reads was tried with every value that it can have."""
    ids = (part.node, *part.factors, *part.divisors, *(guard for guard, _ in part.guards))
    read = frozenset[str]().union(*(anatomy.below.get(id_, frozenset()) for id_ in ids))
    return all(atom.is_finite for atom in anatomy.atoms if atom.id in read)


def _compare_scene(
    part: Part, search: Search, scene: Scene, seen: set[float]
) -> float | Literal[False] | None:
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
            seen.add(round(t, 12))
            size = max(size, abs(s), abs(t))
        counts = [count for _, count in block]
        rest += centre_block(s_block, counts)
        own += centre_block(t_block, counts)
    return _find_slope(rest, own, size + 1e-12)


def _find_slope(rest: Sequence[float], own: Sequence[float], size: float) -> float | Literal[False] | None:
    widest = max(range(len(rest)), key=lambda at: abs(rest[at]), default=None)
    if widest is None or abs(rest[widest]) < TOLERANCE * size:
        return False if any(abs(value) > TOLERANCE * size for value in own) else None
    slope = own[widest] / rest[widest]
    margin = TOLERANCE * size * max(1.0, abs(slope))
    return slope if all(abs(t - slope * s) <= margin for s, t in zip(rest, own, strict=True)) else False


# --- groups -----------------------------------------------------------------------------------------------


def _iterate_scenes(anatomy: Anatomy, sampling: Sampling, baseline: str) -> Iterator[Scene]:
    key = ("scenes", sampling.identify(), baseline)
    drawn: list[list[Scene]] = anatomy.shape.keep(key, list)
    frame = get_frame(anatomy, sampling, NUM_KINDS)
    for number, (table, trained) in enumerate(frame.iterate_tables()):
        if number == len(drawn):
            drawn.append(_list_scenes(frame.kinds, table, trained, baseline))
        yield from (scene for scene in drawn[number] if scene.is_whole(anatomy))


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


@remember
def _find_in(training: Training) -> list[DeadPart]:
    score = training.outcome.term if training.outcome is not None else None
    return find_dead_parts(training.model, training.sampling, training.baseline, score)


def prove_dead_bonus(training: TrainCase) -> Iterable[Diagnostic]:
    """`dead-bonus` of a stage that divides by the group's deviation."""
    keyed = build_training(training)
    if training.stage.settings["scale"] != "group" or has_no_signal(keyed):
        return
    for found in _find_in(keyed):
        part = name_part(training.case, found.node)
        yield Diagnostic(
            "dead-bonus",
            "warning",
            _SAYS[found.effect].format(part=part, slope=format_figure(found.slope)),
            training.case.spans[found.node],
            (Label(training.span, _describe_stage(training)),),
            _suggest_cure(training, found.effect),
        )


def _describe_stage(training: TrainCase) -> str:
    group = training.stage.settings["group"]
    names = " and ".join(f"`{name}`" for name in group)
    only = "only " if len(group) == 1 else ""
    return f"this group trains {only}{names} rollouts, and `scale: group` divides by its standard deviation"


def _suggest_cure(training: TrainCase, effect: Effect) -> str:
    settings = training.stage.settings
    if effect != "dead":
        return "make its weight smaller than that of the rest"
    compare = list(settings["compare"] or {})
    if compare and len(settings["group"]) == 1:
        own = next(iter(settings["group"]))
        return f"train both scenarios in one group, as group: {{ {own}: 4, {compare[0]}: 4 }}; or write scale: none"
    return (
        "a part counts where it differs between rollouts that earn the same without it; or write scale: none"
    )
