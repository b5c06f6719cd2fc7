"""Diagnostics as text for people. Nothing here decides what is wrong.

    error[unknown-name]: `outcom` is not known
      --> spec.exg:12:7
       |
    12 |   total = outcom + 1
       |           ^^^^^^
       = hint: did you mean `outcome`?

Carets are placed by display width: tabs, wide and combining characters count for what a terminal shows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from shlex import quote

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.fixes import is_doubtful
from exgrpo_compiler.hints import find_hint
from exgrpo_compiler.source import Span

_TAB_WIDTH = 4
_MAX_LINE = 160
_MAX_NAMED = 6
"""Ids and files that are named in the advice; where there are more, it says what to name."""
_RESET = "\x1b[0m"
_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "label": "\x1b[1;34m", "bold": "\x1b[1m"}


def render_human(diagnostics: Sequence[Diagnostic], color: bool, limit: int | None = None) -> str:
    """Every diagnostic with its source lines, then a summary; an empty text if there is none.

    Of each file at most `limit` are shown, errors before warnings, in the order in which they stand.
    """
    if not diagnostics:
        return ""
    shown, omitted = _choose_shown(diagnostics, limit)
    blocks = [_render_diagnostic(diagnostic, color) for diagnostic in shown]
    blocks += [f"… and {count} more in {_clean(name)}; fix these first" for name, count in omitted.items()]
    return "\n\n".join([*blocks, summarize(diagnostics)])


def _choose_shown(
    diagnostics: Sequence[Diagnostic], limit: int | None
) -> tuple[list[Diagnostic], dict[str, int]]:
    """What is shown of each file, and how many more there are."""
    if limit is None:
        return list(diagnostics), {}
    counts: dict[str, int] = {}
    kept: list[int] = []
    for at in sorted(range(len(diagnostics)), key=lambda at: diagnostics[at].severity != "error"):
        name = diagnostics[at].span.source.name
        counts[name] = counts.get(name, 0) + 1
        if counts[name] <= limit:
            kept.append(at)
    omitted = {name: count - limit for name, count in counts.items() if count > limit}
    return [diagnostics[at] for at in sorted(kept)], omitted


def summarize(diagnostics: Sequence[Diagnostic]) -> str:
    """Counts in words.

    >>> summarize([])
    'no problems'
    """
    parts = []
    for severity in ("error", "warning"):
        count = sum(diagnostic.severity == severity for diagnostic in diagnostics)
        if count:
            parts.append(f"{count} {severity}{'' if count == 1 else 's'}")
    return ", ".join(parts) if parts else "no problems"


def render_advice(diagnostics: Sequence[Diagnostic]) -> str:
    """What to type next: the command that explains what was found, and the one that mends some of it.

    >>> render_advice([])
    ''
    """
    ids = list(dict.fromkeys(diagnostic.id for diagnostic in diagnostics))
    lines = [f"help: exgrpo explain {' '.join(ids) if len(ids) <= _MAX_NAMED else 'ID'}"] if ids else []
    files = [found.span.source.name for found in diagnostics if _is_mendable(found, diagnostics)]
    if files:
        named = [quote(name) for name in dict.fromkeys(files)]
        shown = " ".join(named) if len(named) <= _MAX_NAMED else "FILES"
        mended = "it" if len(diagnostics) == 1 else f"{len(files)} of them"
        lines.append(f"help: exgrpo fix {shown} mends {mended}")
    return "\n".join(lines)


def _is_mendable(diagnostic: Diagnostic, found: Sequence[Diagnostic]) -> bool:
    """Whether `exgrpo fix` has an edit for it: of a file, and not of a value given on the command line."""
    fix = diagnostic.fix
    is_file = not diagnostic.span.source.name.startswith("-")
    return fix is not None and fix.is_safe and is_file and not is_doubtful(diagnostic, found)


class _Mark(NamedTuple):
    span: Span
    sign: str
    text: str
    style: str


def _render_diagnostic(diagnostic: Diagnostic, color: bool) -> str:
    severity = diagnostic.severity
    lines = [
        _paint(f"{severity}[{diagnostic.id}]", severity, color)
        + _paint(f": {_clean(diagnostic.message)}", "bold", color)
    ]
    marks = [_Mark(diagnostic.span, "^", "", severity)]
    marks.extend(_Mark(label.span, "-", label.text, "label") for label in diagnostic.labels)
    gutter = max(len(str(_get_last_line(mark.span))) for mark in marks)
    places: dict[tuple[str, int], list[_Mark]] = {}
    for mark in marks:
        places.setdefault((mark.span.source.name, _get_line_number(mark.span)), []).append(mark)
    for together in places.values():
        lines.extend(_render_place(together, gutter, color))
    hint = find_hint(diagnostic)
    if hint is not None:
        lines.append(f"{' ' * gutter} = hint: {_clean(hint)}")
    return "\n".join(lines)


def _get_line_number(span: Span) -> int:
    return span.source.locate(span.start).line


def _get_last_line(span: Span) -> int:
    """The line of the last character that is more than a blank."""
    text = span.source.text[span.start : span.end].rstrip()
    return span.source.locate(span.start + max(0, len(text) - 1)).line


def _render_place(marks: Sequence[_Mark], gutter: int, color: bool) -> list[str]:
    """File and line of spans that begin on the same line, the line, and under it a row of marks for each."""
    span = marks[0].span
    position = span.source.locate(span.start)
    line = span.source.get_line(position.line)
    window = _find_window(line, position.column - 1)
    arrow = _paint("-->", "label", color)
    lines = [
        f"{' ' * gutter}{arrow} {span.source.name}:{position.line}:{position.column}",
        f"{' ' * gutter} {_paint('|', 'label', color)}",
        _render_line(position.line, line[window], gutter, color),
    ]
    for mark in marks:
        first = mark.span.source.locate(mark.span.start).column - 1
        is_long = _get_last_line(mark.span) > position.line
        stop = len(line) if is_long else first + mark.span.end - mark.span.start
        lines.append(_render_marks(mark, line, window, (first, stop), gutter, color, has_text=not is_long))
        if is_long:
            lines.extend(_render_end(mark, gutter, color))
    return lines


def _render_end(mark: _Mark, gutter: int, color: bool) -> list[str]:
    """The last line of a span over several lines, after three dots for those between."""
    source = mark.span.source
    number = _get_last_line(mark.span)
    line = source.get_line(number)
    stop = min(len(line.rstrip()), mark.span.end - source.line_starts[number - 1])
    start = len(line) - len(line.lstrip())
    window = _find_window(line, max(start, stop - 1))
    is_next = number == _get_line_number(mark.span) + 1
    return [
        *([] if is_next else ["…".rjust(gutter)]),
        _render_line(number, line[window], gutter, color),
        _render_marks(mark, line, window, (start, stop), gutter, color, has_text=True),
    ]


def _render_line(number: int, text: str, gutter: int, color: bool) -> str:
    bar = _paint("|", "label", color)
    return f"{_paint(str(number).rjust(gutter), 'label', color)} {bar} {_clean(text)}".rstrip()


def _render_marks(
    mark: _Mark,
    line: str,
    window: slice,
    columns: tuple[int, int],
    gutter: int,
    color: bool,
    *,
    has_text: bool,
) -> str:
    """Signs under the columns of a line, as far as they are shown, and what the mark says."""
    shown = line[window]
    start = min(max(0, columns[0] - window.start), len(shown))
    stop = max(start, min(len(shown), columns[1] - window.start))
    indent = measure_width(shown[:start])
    width = max(1, measure_width(shown[:stop]) - indent)
    text = mark.sign * width + (f" {_clean(mark.text)}" if mark.text and has_text else "")
    return f"{' ' * gutter} {_paint('|', 'label', color)} {' ' * indent}{_paint(text, mark.style, color)}"


def _find_window(line: str, column: int) -> slice:
    """The part of a line that is shown: all of it, or what stands around `column` where it is very long."""
    if len(line) <= _MAX_LINE:
        return slice(0, len(line))
    start = max(0, min(column - _MAX_LINE // 2, len(line) - _MAX_LINE))
    return slice(start, start + _MAX_LINE)


def measure_width(text: str) -> int:
    r"""Columns that a terminal needs for a text, tabs shown as spaces up to the next stop.

    >>> measure_width("a\t界")
    6
    """
    width = 0
    for char in text:
        width += _TAB_WIDTH - width % _TAB_WIDTH if char == "\t" else _measure_character(char)
    return width


def _measure_character(char: str) -> int:
    if not char.isprintable():
        return 1
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _clean(text: str) -> str:
    """A text that is safe to print: tabs as spaces, control and format characters as `?`."""
    shown: list[str] = []
    width = 0
    for char in text:
        if char == "\t":
            step = _TAB_WIDTH - width % _TAB_WIDTH
            shown.append(" " * step)
            width += step
            continue
        is_safe = char.isprintable()
        shown.append(char if is_safe else "?")
        width += _measure_character(char)
    return "".join(shown)


def _paint(text: str, style: str, color: bool) -> str:
    return f"{_STYLES[style]}{text}{_RESET}" if color else text
