"""How a probes block asks: all rules at once or each by itself, how often, and how many answers are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from exgrpo_artifact.record import Record
from exgrpo_compiler.builtins import PROBES, RULE_TYPE
from exgrpo_compiler.check.constants import read_setting
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.forms import Sorted
from exgrpo_compiler.ir import CheckedModel
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import Type, list_of


class Asking(Record):
    """The settings of a probes block that are plain values, with their defaults."""

    ask: Literal["per_rule", "together"] = "per_rule"
    samples: int = 1
    per_rule: int | None = None

    @property
    def names(self) -> Mapping[str, Type]:
        """What the prompt sees of the rules."""
        return {"rules": list_of(RULE_TYPE)} if self.ask == "together" else {"rule": RULE_TYPE}


def read_asking(context: Context, block: Sorted) -> Asking:
    """The settings as written; one that is wrong is reported and has its default."""
    values: dict[str, Any] = {}
    for name, setting in PROBES.items():
        written = block.get(name)
        value = read_setting(context, written.value, setting) if written is not None else None
        if value is not None:
            values[name] = value
    return Asking(**values)


def warn_same_answers(context: Context, teacher: Key | None, count: int, span: Span, written: str) -> None:
    """`same-answers`, where a model that is asked `count` times can only say the same; `written` is what asks it so often."""
    checked = context.known.get(teacher) if teacher is not None else None
    if count > 1 and isinstance(checked, CheckedModel) and checked.model.sampling.temperature == 0:
        context.problems.warning(
            "same-answers",
            span,
            f"{written} asks `{checked.model.name}` {count} times, and at temperature 0 it gives one answer.",
            hint="raise its `temperature`, as 0.8, or ask once",
        )
