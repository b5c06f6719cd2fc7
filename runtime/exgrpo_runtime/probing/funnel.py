"""Counts of a probe stage: what became of every (row, rule, sample) and of every row.

Invariant: for each rule, asked = kept + all rejections; what a rule does not apply to was not asked. Nothing is held but counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from exgrpo_runtime.records import Probe, Rejection

NOT_APPLICABLE = "not-applicable"
NO_PROBES = "no-probes"
"""Why a row was dropped none of whose probes survived the checks of single probes."""


class Funnel:
    """Counts rejections; knows nothing of why they happen."""

    def __init__(self, rules: Iterable[str]) -> None:
        self.first: Rejection | None = None
        """One case, for who wonders why nothing is left."""
        self._not_applicable = Counter[str]()
        self._asked = Counter[str]()
        self._kept = Counter[str]()
        self._rejected: dict[str, Counter[str]] = {rule: Counter() for rule in rules}
        self._repaired = Counter[str]()
        self._mended = Counter[str]()
        self._dropped_rows = Counter[str]()
        self._rows_kept = 0

    def skip(self, rule: str) -> None:
        """Counts a row that the rule does not apply to."""
        self._not_applicable[rule] += 1

    def ask(self, rule: str) -> None:
        """Counts a probe that the teacher is asked for."""
        self._asked[rule] += 1

    def repair(self, rule: str, *, is_mended: bool) -> None:
        """Counts a probe that had to be asked for again because its reply could not be read."""
        self._repaired[rule] += 1
        self._mended[rule] += is_mended

    def reject(self, rejection: Rejection) -> None:
        """Counts a probe that is left out."""
        self.first = self.first or rejection
        self._rejected[rejection.rule or ""][rejection.reason] += 1

    def keep(self, probes: Iterable[Probe]) -> None:
        """Counts what is left of a row; nothing, where it was dropped."""
        rules = [probe.rule for probe in probes]
        self._kept.update(rules)
        self._rows_kept += bool(rules)

    def drop_row(self, reason: str) -> None:
        """Counts a row that is left without probes."""
        self._dropped_rows[reason] += 1

    @property
    def num_kept(self) -> int:
        """Probes kept so far."""
        return self._kept.total()

    def count_reasons(self) -> dict[str, int]:
        """Reason -> probes left out for it, the most frequent first."""
        return _sort(sum(self._rejected.values(), Counter()))

    def describe_losses(self) -> str:
        """The counts in one line: "12 malformed-reply, 3 consistent"."""
        skipped = self._not_applicable.total()
        parts = [f"{count} {reason}" for reason, count in self.count_reasons().items()]
        parts += [f"{skipped} {NOT_APPLICABLE}"] if skipped else []
        return ", ".join(parts) or "no rule, no row"

    def summarise(self) -> dict[str, Any]:
        """The funnel's part of the stage's summary."""
        repaired = {
            rule: {"asked": self._repaired[rule], "mended": self._mended[rule]}
            for rule in self._rejected
            if self._repaired[rule]
        }
        return {
            "funnel": {rule: self._describe_rule(rule) for rule in self._rejected},
            "reasons": self.count_reasons(),
            "repairs": {
                "asked": self._repaired.total(),
                "mended": self._mended.total(),
                "by_rule": repaired,
            },
            "probes_kept": self.num_kept,
            "items_kept": self._rows_kept,
            "items_dropped": self._dropped_rows.total(),
            "items_dropped_by": _sort(self._dropped_rows),
        }

    def _describe_rule(self, rule: str) -> dict[str, int]:
        return {
            NOT_APPLICABLE: self._not_applicable[rule],
            "asked": self._asked[rule],
            **_sort(self._rejected[rule]),
            "kept": self._kept[rule],
        }


def _sort(counts: Mapping[str, int]) -> dict[str, int]:
    """Largest first, by name where equal: the order does not tell in which order things were counted."""
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
