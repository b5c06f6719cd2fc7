"""What is wrong with a spec, as data. Words are chosen where the fact is found; printing is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Literal, TypeVar

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.source import Span

Severity = Literal["error", "warning"]
T = TypeVar("T")

_LIKENESS = 0.65
"""From which ratio on two names are one and a slip: `aks` and `ask` have 0.67, `solution` and `question` 0.63."""


class Label(NamedTuple):
    """A secondary place, possibly in another file, and what it has to do with the problem."""

    span: Span
    text: str


class Edit(NamedTuple):
    """Text that takes the place of a span; an empty span inserts."""

    span: Span
    text: str


class Fix(NamedTuple):
    """Edits that mend a problem together. A safe one changes nothing that the spec means where it meant something."""

    title: str
    """What it does, as an order: "write `temperature`"."""
    edits: tuple[Edit, ...]
    is_safe: bool = False


class Diagnostic(Record):
    """One problem: `message` is one plain sentence that stands alone, `hint` a fact or an edit that helps."""

    id: str
    severity: Severity
    message: str
    span: Span
    labels: tuple[Label, ...] = ()
    hint: str | None = None
    fix: Fix | None = None
    """Edits that `exgrpo fix` and editors can apply."""
    missed: tuple[str, str | None] | None = None
    """A name that is not there, and the one that may have been meant: reports of the same two are of one mistake."""


class Outcome(Record, Generic[T]):
    """A stage's value, or None when it could not be made, and all that was found on the way."""

    value: T | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether there is a value and no error among the diagnostics."""
        return self.value is not None and not has_errors(self.diagnostics)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any diagnostic is an error."""
    return any(diagnostic.severity == "error" for diagnostic in diagnostics)


def suggest_name(name: str, known: Iterable[str]) -> str | None:
    """A hint "did you mean `x`?" with the closest known name, or None where nothing is close.

    >>> suggest_name("temprature", ["temperature", "top_p"])
    'did you mean `temperature`?'
    """
    closest = find_closest(name, known)
    return f"did you mean `{closest}`?" if closest else None


def find_closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a typing mistake would turn into `name`, or None."""
    from difflib import get_close_matches  # here: most checks find nothing to suggest

    matches = get_close_matches(name, sorted(set(known)), n=1, cutoff=_LIKENESS)
    return matches[0] if matches else None
