"""Collecting diagnostics: what a stage found so far. Each stage makes its own collector and gives back a tuple."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label, find_closest
from exgrpo_compiler.source import Span

MOST_LISTED = 1000
"""Known names that are looked at for a list of the first few different ones."""
MOST_SUGGESTED = 100
"""Unknown names that are compared with the known ones: a file with more of them is not mended name by name."""
LEAST_SAFE = 4
"""Characters of a name from which on a single slip tells what was meant: `p1` and `p2` are one apart."""


class Problems:
    """A growing list of diagnostics; the same problem at the same place is kept once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int, str], Diagnostic] = {}
        self._num_errors = 0
        self._num_unknown = 0

    def error(
        self,
        id_: str,
        span: Span,
        message: str,
        *,
        hint: str | None = None,
        labels: tuple[Label, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Adds an error."""
        self.add(Diagnostic(id_, "error", message, span, labels, hint, fix))

    def warning(
        self,
        id_: str,
        span: Span,
        message: str,
        *,
        hint: str | None = None,
        labels: tuple[Label, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Adds a warning."""
        self.add(Diagnostic(id_, "warning", message, span, labels, hint, fix))

    def unknown(self, id_: str, span: Span, message: str, name: str, known: Iterable[str], what: str) -> None:
        """Adds an error about a name that is not there; the hint is the closest known name, or the list of them."""
        known = tuple(known)
        self._num_unknown += 1
        if self._num_unknown > MOST_SUGGESTED:
            self.error(id_, span, message, hint=list_names(known, what))
            return
        fix = suggest_fix(span, name, known)
        closest = fix.edits[0].text.strip('"') if fix is not None else None
        hint = f"did you mean `{closest}`?" if closest is not None else list_names(known, what)
        self.add(Diagnostic(id_, "error", message, span, (), hint, fix, (name, closest)))

    def add(self, diagnostic: Diagnostic) -> None:
        """Adds a diagnostic made elsewhere."""
        span = diagnostic.span
        key = (diagnostic.id, span.source.name, span.start, diagnostic.message)
        if key not in self._found:
            self._found[key] = diagnostic
            self._num_errors += diagnostic.severity == "error"

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Adds diagnostics made elsewhere."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def __len__(self) -> int:
        """How many errors there are: a declaration with warnings is whole."""
        return self._num_errors

    @property
    def found(self) -> tuple[Diagnostic, ...]:
        """All diagnostics by source and place, sources in the order in which they were met."""
        order = {name: index for index, name in enumerate(dict.fromkeys(key[1] for key in self._found))}
        return tuple(
            sorted(
                self._found.values(),
                key=lambda item: (order[item.span.source.name], item.span.start, item.span.end),
            )
        )


def suggest_fix(span: Span, name: str, known: Iterable[str]) -> Fix | None:
    """The edit that goes with "did you mean": the closest known name in place of the written one, or None.

    It is safe where one known name only is a single slip away, and the name is long enough for that to say something.
    """
    names = set(known)
    closest = find_closest(name, names)
    if closest is None:
        return None
    slips = [one for one in names if is_one_slip(name, one)]
    is_safe = slips == [closest] and len(name) >= LEAST_SAFE
    written = span.source.text[span.start : span.end]
    text = f'"{closest}"' if written == f'"{name}"' else closest
    return Fix(f"write `{closest}`", (Edit(span, text),), is_safe=is_safe)


def is_one_slip(a: str, b: str) -> bool:
    """Whether one letter too much, too little, another, or two swapped make the one of the other.

    >>> [is_one_slip("steps", other) for other in ("step", "stepps", "steqs", "stesp", "stops", "set")]
    [True, True, True, True, True, False]
    """
    if len(a) < len(b):
        a, b = b, a
    at = next((index for index, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), len(b))
    if len(a) > len(b):
        return a[at + 1 :] == b[at:]
    return a != b and (
        a[at + 1 :] == b[at + 1 :] or (a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :])
    )


def list_names(known: Iterable[str], what: str, *, limit: int = 12) -> str | None:
    """A hint that lists what there is, or None where there is nothing.

    >>> list_names(["b", "a"], "its fields are")
    'its fields are `b`, `a`'
    """
    names = list(islice(dict.fromkeys(islice(known, MOST_LISTED)), limit + 1))
    if not names:
        return None
    shown = ", ".join(f"`{name}`" for name in names[:limit])
    return f"{what} {shown}" + (", …" if len(names) > limit else "")


def start_sentence(text: str) -> str:
    """The text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]
