"""Which rollouts and completions are shown, chosen by rule and without chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_runtime.report.collect import Reader, as_mapping, as_mappings, as_number
from exgrpo_runtime.report.formats import format_number, format_signed

NUM_ROLLOUTS = 20
NUM_TURNED_RIGHT, NUM_TURNED_WRONG = 5, 2
"""Completions shown that turned right, and that turned wrong."""
PHASES = ("first", "middle", "last")
DROPPED, UNSCORED = "dropped", "unscored"
MAX_CHARS = 6000
"""A longer message is cut, and says so."""


class Message(NamedTuple):
    """One message of a dialogue; `cut` counts the characters left out."""

    role: str
    content: str
    cut: int
    scores: str = ""
    """What the terms of a turn say of this one."""


class Rollout(NamedTuple):
    """One rollout to read."""

    step: str
    phase: str
    row: str
    scenario: str
    verdict: str
    """`right`, `wrong`, `unscored` or `dropped`."""
    messages: tuple[Message, ...]
    terms: tuple[tuple[str, str], ...]
    total: str
    advantage: str
    advantage_sign: str
    """`up`, `down` or `flat`."""
    note: str
    """Why it did not count in the training; empty where it did."""


class Turned(NamedTuple):
    """One question that was answered differently in two states of the student."""

    row: str
    verdict: str
    """`right`: wrong before, right after; `wrong`: the other way."""
    user: Message
    before: Message
    after: Message


class Changes(NamedTuple):
    """What changed between two states on the questions scored in both."""

    before: str
    after: str
    both_right: int
    both_wrong: int
    turned_right: int
    turned_wrong: int
    examples: tuple[Turned, ...]


def is_right(score: Any) -> bool | None:
    """Whether a score counts as right: at least a half. None where there is no score."""
    number = as_number(score)
    return None if number is None else number >= 0.5


def spread_places(count: int, wanted: int) -> list[int]:
    """`wanted` places spread evenly over `count`, ends included; all of them where there are fewer.

    >>> spread_places(10, 4)
    [0, 3, 6, 9]
    """
    if wanted <= 0:
        return []
    if count <= wanted:
        return list(range(count))
    if wanted == 1:
        return [0]
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def pick_rollouts(reader: Reader, path: Path, right_term: str) -> tuple[Rollout, ...]:
    """Twenty rollouts of a file, in order of steps.

    Steps are cut in thirds; each third, scenario and verdict is one bin. Bins take turns giving a rollout,
    each giving evenly spread ones, so that rare kinds are shown too; the shares of what is chosen say nothing
    about the run.
    """
    index: list[tuple[int, float, str, str]] = []
    for offset, line in reader.scan_lines(path):
        step = as_number(line.get("step")) or 0.0
        index.append((offset, step, str(line.get("scenario")), judge_rollout(line, right_term)))
    if not index:
        return ()
    low, high = min(entry[1] for entry in index), max(entry[1] for entry in index)
    bins: dict[tuple[int, str, str], list[int]] = {}
    phases: dict[int, str] = {}
    for offset, step, scenario, verdict in index:
        phases[offset] = name_phase(step, low, high)
        bins.setdefault(_name_bin(phases[offset], scenario, verdict), []).append(offset)
    chosen = sorted(_take_turns([bins[key] for key in sorted(bins)]))
    lines = reader.read_lines_at(path, chosen)
    return tuple(
        _describe_rollout(line, phases[offset], right_term)
        for offset, line in zip(chosen, lines, strict=True)
    )


def judge_rollout(line: Mapping[str, Any], right_term: str) -> str:
    """`right` or `wrong` by a term of the reward, `unscored` without it, `dropped` where left out of its group."""
    if line.get("dropped"):
        return DROPPED
    terms = as_mapping(line.get("terms"))
    right = is_right(terms.get(right_term, line.get("total") if right_term == "total" else None))
    return UNSCORED if right is None else "right" if right else "wrong"


def name_phase(step: float, low: float, high: float) -> str:
    """The third of the steps `low`..`high` that `step` lies in."""
    if high == low:
        return PHASES[0]
    return PHASES[min(2, int((step - low) / (high - low) * 3))]


def find_changes(lines: Sequence[Mapping[str, Any]], before: str, after: str) -> Changes | None:
    """What changed from state `before` to state `after`; None where no question was scored in both."""
    states: dict[str, dict[str, Mapping[str, Any]]] = {before: {}, after: {}}
    for line in lines:
        state = line.get("after")
        if state in states:
            states[str(state)][str(line.get("row"))] = line
    kinds: dict[tuple[bool, bool], list[str]] = {(a, b): [] for a in (True, False) for b in (True, False)}
    for row, line in states[before].items():
        other = states[after].get(row)
        first, last = is_right(line.get("score")), is_right(other.get("score")) if other else None
        if first is not None and last is not None:
            kinds[first, last].append(row)
    if not any(kinds.values()):
        return None
    examples = []
    for verdict, key, wanted in (
        ("right", (False, True), NUM_TURNED_RIGHT),
        ("wrong", (True, False), NUM_TURNED_WRONG),
    ):
        rows = [kinds[key][place] for place in spread_places(len(kinds[key]), wanted)]
        examples += [_describe_turned(states[before][row], states[after][row], verdict) for row in rows]
    return Changes(
        before=before,
        after=after,
        both_right=len(kinds[True, True]),
        both_wrong=len(kinds[False, False]),
        turned_right=len(kinds[False, True]),
        turned_wrong=len(kinds[True, False]),
        examples=tuple(examples),
    )


def _name_bin(phase: str, scenario: str, verdict: str) -> tuple[int, str, str]:
    """Sorting key of a bin. Rollouts without a verdict share one, so that they do not crowd out the rest."""
    return (
        (len(PHASES), "", verdict)
        if verdict in (DROPPED, UNSCORED)
        else (PHASES.index(phase), verdict, scenario)
    )


def _take_turns(bins: Sequence[Sequence[int]]) -> list[int]:
    """At most NUM_ROLLOUTS members: one of each bin in turn until all are taken, spread evenly over each."""
    quotas = [0] * len(bins)
    left = min(NUM_ROLLOUTS, sum(len(members) for members in bins))
    while left:
        for i, members in enumerate(bins):
            if left and quotas[i] < len(members):
                quotas[i] += 1
                left -= 1
    return [
        members[place]
        for members, quota in zip(bins, quotas, strict=True)
        for place in spread_places(len(members), quota)
    ]


def _describe_rollout(line: Mapping[str, Any], phase: str, right_term: str) -> Rollout:
    advantage = as_number(line.get("advantage"))
    sign = "flat" if not advantage else "up" if advantage > 0 else "down"
    terms = as_mapping(line.get("terms"))
    return Rollout(
        step=format_number(as_number(line.get("step"))),
        phase=phase,
        row=str(line.get("row", "")),
        scenario=str(line.get("scenario", "")),
        verdict=judge_rollout(line, right_term),
        messages=tuple(
            cut_message(
                str(message.get("role", "")),
                message.get("content"),
                describe_turn(message, as_mapping(line.get("turn_terms"))),
            )
            for message in as_mappings(line.get("dialogue"))
        ),
        terms=tuple(
            (str(name), format_number(as_number(value))) for name, value in terms.items() if name != "total"
        ),
        total=format_number(as_number(line.get("total"))),
        advantage=format_signed(advantage),
        advantage_sign=sign,
        note=_explain_rollout(line),
    )


def _explain_rollout(line: Mapping[str, Any]) -> str:
    if line.get("dropped"):
        return f"Left out of its group: {line['dropped']}."
    if line.get("trained") is False:
        return "Sampled for comparison only: it has no advantage and is not trained on."
    return ""


def _describe_turned(before: Mapping[str, Any], after: Mapping[str, Any], verdict: str) -> Turned:
    return Turned(
        row=str(before.get("row", "")),
        verdict=verdict,
        user=cut_message("user", before.get("user")),
        before=cut_message("assistant", before.get("completion")),
        after=cut_message("assistant", after.get("completion")),
    )


def cut_message(role: str, content: Any, scores: str = "") -> Message:
    """A message with at most MAX_CHARS characters."""
    text = "" if content is None else str(content)
    return Message(role, text[:MAX_CHARS], max(0, len(text) - MAX_CHARS), scores)


def describe_turn(message: Mapping[str, Any], turn_terms: Mapping[str, Any]) -> str:
    """What the terms that are said of turns say of a message; empty for all but turns about a probe.

    Args:
        message: of a rollout's dialogue.
        turn_terms: of the rollout: term -> its value in each turn.
    """
    probe = message.get("probe")
    if not isinstance(probe, int):
        return ""
    return " · ".join(
        f"{name} {format_number(as_number(values[probe]))}"
        for name, values in turn_terms.items()
        if isinstance(values, list) and probe < len(values)
    )
