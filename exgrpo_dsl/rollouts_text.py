"""Rollouts for a person: what was said, turn by turn, with the scores of each turn and of the whole."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_runtime.report.collect import as_mapping, as_mappings, as_number
from exgrpo_runtime.report.formats import format_number, format_signed
from exgrpo_runtime.report.rollouts import describe_turn

RULE = "\u2500" * 72


def write_rollout(line: Mapping[str, Any]) -> str:
    """A rollout of `pick_wanted` as text; it ends with a blank line."""
    dropped = line.get("dropped")
    head = [
        f"{line.get('stage')} step {line.get('step')}",
        *map(str, (line.get("row"), line.get("scenario"))),
    ]
    parts = [RULE, "  ".join([*head, str(line.get("verdict")).upper()]), _write_terms(line)]
    if dropped:
        parts.append(f"left out of its group: {dropped}")
    elif line.get("trained") is False:
        parts.append("sampled for comparison only: it is not trained on")
    if line.get("truncated_turns"):
        parts.append(f"turns cut at the token limit: {line['truncated_turns']}")
    return "\n".join([*parts, "", *_write_messages(line), ""]) + "\n"


def _write_terms(line: Mapping[str, Any]) -> str:
    terms = [
        f"{name} {format_number(as_number(value))}" for name, value in as_mapping(line.get("terms")).items()
    ]
    total = f"total {format_number(as_number(line.get('total')))}"
    return " · ".join([*terms, total, f"advantage {format_signed(as_number(line.get('advantage')))}"])


def _write_messages(line: Mapping[str, Any]) -> Iterator[str]:
    turn_terms = as_mapping(line.get("turn_terms"))
    for message in as_mappings(line.get("dialogue")):
        role, turn = str(message.get("role")), message.get("turn")
        scores = describe_turn(message, turn_terms)
        text = str(message.get("content") or "")
        yield (role if turn is None else f"{role} {turn}") + (f":   [{scores}]" if scores else ":")
        yield textwrap.indent(text, "    ") if text else "    (nothing)"
