"""Counts of a probe stage: what became of every (row, rule) pair and of every row.

Invariant: for each rule, asked = kept + all rejections; pairs that the rule does not apply to were not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from exgrpo_runtime.records import Probe, Rejection

NOT_APPLICABLE = "not-applicable"
NO_PROBES = "no-probes"
"""Why a row was dropped none of whose probes survived the checks of single probes."""


class Funnel:
    """Collects rejections; knows nothing of why they happen."""

    def __init__(self, rules: Iterable[str]) -> None:
        self.rejections: list[Rejection] = []
        self._not_applicable = Counter[str]()
        self._asked = Counter[str]()
        self._dropped_rows = Counter[str]()
        self._rules = tuple(rules)

    def skip(self, rule: str) -> None:
        """Counts a row that the rule does not apply to."""
        self._not_applicable[rule] += 1

    def ask(self, rule: str) -> None:
        """Counts a probe that the teacher is asked for."""
        self._asked[rule] += 1

    def reject(self, rejection: Rejection) -> None:
        """Keeps the record of a probe that is left out."""
        self.rejections.append(rejection)

    def drop_row(self, reason: str) -> None:
        """Counts a row that is left without probes."""
        self._dropped_rows[reason] += 1

    def count_reasons(self) -> dict[str, int]:
        """Reason -> probes left out for it, the most frequent first."""
        return dict(Counter(rejection.reason for rejection in self.rejections).most_common())

    def describe_losses(self) -> str:
        """The counts in one line: "12 malformed-reply, 3 consistent"."""
        skipped = self._not_applicable.total()
        parts = [f"{count} {reason}" for reason, count in self.count_reasons().items()]
        parts += [f"{skipped} {NOT_APPLICABLE}"] if skipped else []
        return ", ".join(parts) or "no rule, no row"

    def summarise(self, kept: Sequence[Probe]) -> dict[str, Any]:
        """The funnel's part of the stage's summary."""
        by_rule = {rule: self._describe_rule(rule, kept) for rule in self._rules}
        return {
            "funnel": by_rule,
            "reasons": self.count_reasons(),
            "probes_kept": len(kept),
            "items_kept": len({probe.row for probe in kept}),
            "items_dropped": self._dropped_rows.total(),
            "items_dropped_by": dict(self._dropped_rows.most_common()),
        }

    def _describe_rule(self, rule: str, kept: Sequence[Probe]) -> dict[str, int]:
        reasons = Counter(rejection.reason for rejection in self.rejections if rejection.rule == rule)
        return {
            NOT_APPLICABLE: self._not_applicable[rule],
            "asked": self._asked[rule],
            **dict(reasons.most_common()),
            "kept": sum(probe.rule == rule for probe in kept),
        }
