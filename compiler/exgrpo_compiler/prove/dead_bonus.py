"""`dead-bonus`: a part of the total that division by the group's deviation takes out again.

Write the total as S + T. If inside every group T = a S + c, with a and c free to differ between groups, then the total is
(1 + a) S + c there, and (r - mean) / deviation is that of S where 1 + a > 0, nothing where 1 + a = 0, its reverse where 1 + a < 0.
With `baseline: scenario` c is free for each scenario too, since each has its own mean. S and T are compared over the groups that
the stage can draw, with the values that the group's own means take there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from exgrpo_artifact.graph import Node
from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.advantages import centre_totals
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.groups import list_groups, list_rows, list_trained
from exgrpo_compiler.prove.memo import remember
from exgrpo_compiler.prove.model import FAILED, Bound, RewardModel
from exgrpo_compiler.prove.no_signal import has_no_signal
from exgrpo_compiler.prove.summands import Part, compute_part, iterate_parts
from exgrpo_compiler.prove.training import Training, build_training
from exgrpo_compiler.prove.wordings import format_figure, name_part
from exgrpo_compiler.prove.worlds import Sampling, list_kinds

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
    """One group that can be drawn: totals and parts of its trained kinds."""

    bound: Bound
    counts: list[int]
    columns: Mapping[str, object]
    totals: list[float]


def find_dead_parts(
    model: RewardModel, sampling: Sampling, baseline: str, score: str | None
) -> list[DeadPart]:
    """Parts of the total that change no advantage, those that erase it, and those that turn it round.

    `score` is the term that says whether an answer is right: of two parts that are each other's multiple, it stays.
    """
    nodes = {node.id: node for node in model.anatomy.graph.nodes}
    scenes: list[Scene] = []
    source = _iterate_scenes(model, sampling)
    found: list[DeadPart] = []
    removed: list[Part] = []
    for parts in iterate_parts(Part(model.anatomy.graph.result), nodes):
        candidates = [part for part in parts if not _is_literal(part, nodes)]
        rises = {part: _follow_score(part, score, scenes, source) for part in candidates}
        for part in sorted(candidates, key=lambda one: rises[one]):
            if any(_covers(gone, part, nodes) for gone in removed):
                continue
            verdict = _judge(part, removed, scenes, source, sampling, baseline)
            # What rises with the score is what the rest takes away or turns round, not the other way about.
            if verdict is not None and (verdict[0] == "dead" or not rises[part]):
                found.append(DeadPart(part.node, *verdict))
                removed.append(part)
                if verdict[0] != "dead":
                    return found
    return found


def _follow_score(part: Part, score: str | None, scenes: list[Scene], source: Iterator[Scene]) -> int:
    """Whether the part says what the score says: 2 for the score itself, 1 where it rises with it, else 0."""
    if score is None:
        return 0
    if part.node == score and not part.guards:
        return 2
    for scene in _replay(scenes, source):
        values = compute_part(part, scene.columns, scene.bound)
        scores = scene.bound.spread(scene.columns[score])
        rows = [
            (float(one), value)
            for one, value, count in zip(scores, values, scene.counts, strict=True)
            if count and value is not None and _is_number(one)
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


def _judge(
    part: Part,
    removed: Sequence[Part],
    scenes: list[Scene],
    source: Iterator[Scene],
    sampling: Sampling,
    baseline: str,
) -> tuple[Effect, float] | None:
    """What the part does in all groups alike; None where it changes some group, or where only samples say that it is constant."""
    slopes: list[float] = []
    seen: set[float] = set()
    for scene in _replay(scenes, source):
        slope = _compare_scene(part, removed, scene, sampling, baseline, seen)
        if slope is False:
            return None
        if slope is not None:
            slopes.append(slope)
    if not slopes or (len(seen) == 1 and not _is_known_whole(part, scenes[0].bound.model.anatomy)):
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
    part: Part,
    removed: Sequence[Part],
    scene: Scene,
    sampling: Sampling,
    baseline: str,
    seen: set[float],
) -> float | Literal[False] | None:
    """The a of T = a S + c inside this group; None where neither S nor T varies; False where there is no such a."""
    kinds = scene.bound.kinds
    trained = list_trained(kinds, scene.counts, sampling)
    T = compute_part(part, scene.columns, scene.bound)
    gone = [compute_part(one, scene.columns, scene.bound) for one in removed]
    rows: list[tuple[float, float]] = []
    for at in trained:
        value, others = T[at], [column[at] for column in gone]
        if value is None or any(other is None for other in others):
            return False
        rows.append((scene.totals[at] - value - sum(other for other in others if other is not None), value))
    seen.update(round(value, 12) for _, value in rows)
    return _find_slope(
        rows, [scene.counts[at] for at in trained], [kinds[at].scenario for at in trained], baseline
    )


def _find_slope(
    rows: Sequence[tuple[float, float]], counts: Sequence[int], scenarios: Sequence[str], baseline: str
) -> float | Literal[False] | None:
    size = max((abs(value) for row in rows for value in row), default=0.0) + 1e-12
    rest = centre_totals([row[0] for row in rows], counts, scenarios, baseline)
    own = centre_totals([row[1] for row in rows], counts, scenarios, baseline)
    widest = max(range(len(rows)), key=lambda at: abs(rest[at]), default=None)
    if widest is None or abs(rest[widest]) < TOLERANCE * size:
        return False if any(abs(value) > TOLERANCE * size for value in own) else None
    slope = own[widest] / rest[widest]
    fits = all(
        abs(t - slope * s) <= TOLERANCE * size * max(1.0, abs(slope)) for s, t in zip(rest, own, strict=True)
    )
    return slope if fits else False


# --- groups -----------------------------------------------------------------------------------------------


def _replay(scenes: list[Scene], source: Iterator[Scene]) -> Iterator[Scene]:
    """The scenes so far, then new ones, which are kept: most parts are found alive in the first few."""
    yield from list(scenes)
    for scene in source:
        scenes.append(scene)
        yield scene


def _iterate_scenes(model: RewardModel, sampling: Sampling) -> Iterator[Scene]:
    anatomy = model.anatomy
    kinds = list_kinds(anatomy, sampling, NUM_KINDS)
    for row in list_rows(anatomy):
        bound = model.bind(kinds, row)
        for counts in list_groups(kinds, sampling):
            columns = bound.score(counts)
            totals = bound.spread(columns[anatomy.graph.result])
            if all(_is_number(total) for total, count in zip(totals, counts, strict=True) if count):
                yield Scene(bound, counts, columns, [float(t) if _is_number(t) else 0.0 for t in totals])


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
