r"""String literals: from what stands in the source to the text that it means, character by character.

`"…"` resolves the escapes `\n \t \" \\ \u{…}`; a block string (three quotes) removes the margin that its
closing fence sets; backticks keep everything. `Text.offsets` says for each character of the value where in the
source it stands, so that a mistake inside a template is shown at its place. Carriage returns before a line feed
are dropped from block strings: a spec means the same whichever line ends it was checked out with.
"""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Text
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.source import Source, Span

_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_ESCAPE_HINT = 'the escapes are \\n \\t \\" \\\\ and \\u{…}; a string in backticks has none'
_FENCE = 3


class Decoded(NamedTuple):
    """A literal's text and what was wrong with it."""

    text: Text
    diagnostics: tuple[Diagnostic, ...]


def decode_string(source: Source, terminal: str, span: Span) -> Decoded:
    """The value of a STRING, BLOCK_STRING or RAW_STRING; its closing quote may be missing."""
    if terminal == "BLOCK_STRING":
        return _decode_block(source, span)
    if terminal == "RAW_STRING":
        return _decode_raw(source, span)
    return _decode_quoted(source, span)


def _find_content_end(source: Source, span: Span, quote: str) -> int:
    """Offset where the content ends: before the closing quote, or at the end of a literal without one."""
    content = source.text[span.start + len(quote) : span.end]
    return span.end - len(quote) if content.endswith(quote) else span.end


def _decode_raw(source: Source, span: Span) -> Decoded:
    end = _find_content_end(source, span, source.text[span.start])
    offsets = tuple(range(span.start + 1, end + 1))
    return Decoded(Text(source.text[span.start + 1 : end], "raw", offsets, span), ())


def _decode_quoted(source: Source, span: Span) -> Decoded:
    text, end = source.text, span.end
    quote = text[span.start]
    is_closed = quote != '"' or (text[end - 1] == '"' and not _is_escaped(text, span.start + 1, end - 1))
    if is_closed and end - span.start > 1:
        end -= 1
    at = span.start + 1
    if text.find("\\", at, end) < 0:
        return Decoded(Text(text[at:end], "quoted", tuple(range(at, end + 1)), span), ())
    values: list[str] = []
    offsets: list[int] = []
    problems: list[Diagnostic] = []
    while at < end:
        offsets.append(at)
        if text[at] == "\\" and quote == '"':
            value, after, problem = _read_escape(source, at, end)
            values.append(value)
            if problem is not None:
                problems.append(problem)
            at = after
        else:
            values.append(text[at])
            at += 1
    offsets.append(end)
    return Decoded(Text("".join(values), "quoted", tuple(offsets), span), tuple(problems))


def _is_escaped(text: str, start: int, at: int) -> bool:
    count = 0
    while at - count - 1 >= start and text[at - count - 1] == "\\":
        count += 1
    return count % 2 == 1


def _read_escape(source: Source, at: int, end: int) -> tuple[str, int, Diagnostic | None]:
    """The character of the escape at `at`, the offset after it, and what is wrong with it."""
    letter = source.text[at + 1] if at + 1 < end else ""
    if letter in _ESCAPES and letter:
        return _ESCAPES[letter], at + 2, None
    if letter == "u":
        return _read_code_point(source, at, end)
    stop = min(at + 2, end)
    message = f"`{source.text[at:stop]}` is not an escape."
    return "\\", at + 1, _report_escape(Span(source, at, stop), message, _ESCAPE_HINT)


def _read_code_point(source: Source, at: int, end: int) -> tuple[str, int, Diagnostic | None]:
    text = source.text
    close = text.find("}", at + 2, min(end, at + 12))
    if not text.startswith("{", at + 2) or close < 0:
        problem = _report_escape(
            Span(source, at, at + 2), "`\\u` needs a code point in braces.", "write it as `\\u{3b1}`"
        )
        return "\ufffd", at + 2, problem
    digits = text[at + 3 : close]
    is_hex = bool(digits) and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    code = int(digits, 16) if is_hex else -1
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        problem = _report_escape(
            Span(source, at, close + 1),
            f"`{text[at : close + 1]}` is not a Unicode character.",
            "code points are hexadecimal, up to 10ffff",
        )
        return "\ufffd", close + 1, problem
    return chr(code), close + 1, None


def _report_escape(span: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic("bad-escape", "error", message, span, hint=hint)


def _is_fence(source: Source, span: Span) -> bool:
    """Whether the last three characters are single quotes, which were reported."""
    return source.text.startswith("'''", span.end - _FENCE)


def _decode_block(source: Source, span: Span) -> Decoded:
    text = source.text
    start, end = (
        span.start + _FENCE,
        _find_content_end(
            source, span, source.text[span.end - _FENCE : span.end] if _is_fence(source, span) else '"""'
        ),
    )
    lines = _split_lines(text, start, end)
    margin, has_own_line = "", False
    if len(lines) > 1:
        last_start, last_end = lines[-1]
        has_own_line = not text[last_start:last_end].strip(" \t")
        margin = text[last_start:last_end] if has_own_line else ""
    first = 1 if len(lines) > 1 and not text[slice(*lines[0])].strip(" \t\r") else 0
    kept = lines[first:-1] if has_own_line else lines[first:]
    values: list[str] = []
    offsets: list[int] = []
    problem: Diagnostic | None = None
    for index, (line_start, line_end) in enumerate(kept):
        at = line_start
        if index + first > 0:
            at, is_short = _skip_margin(text, line_start, line_end, margin)
            if is_short and problem is None:
                problem = _report_margin(source, at, lines[-1], span)
        values.append(text[at:line_end].removesuffix("\r"))
        offsets.extend(range(at, at + len(values[-1])))
        if index + 1 < len(kept):
            offsets.append(line_end)
    offsets.append(end if not has_own_line else max(kept[-1][1] if kept else start, start))
    value = Text("\n".join(values), "block", tuple(offsets), span)
    return Decoded(value, () if problem is None else (problem,))


def _split_lines(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Start and end offset of each line of `text[start:end]`, without the line feeds."""
    lines: list[tuple[int, int]] = []
    at = start
    while True:
        stop = text.find("\n", at, end)
        if stop < 0:
            return [*lines, (at, end)]
        lines.append((at, stop))
        at = stop + 1


def _skip_margin(text: str, start: int, end: int, margin: str) -> tuple[int, bool]:
    """Where a line's text begins once the margin is gone, and whether the line is indented less than that."""
    line = text[start:end]
    if line.startswith(margin):
        return start + len(margin), False
    if not line.strip():
        return end, False
    return start + len(line) - len(line.lstrip(" \t")), True


def _report_margin(source: Source, at: int, fence: tuple[int, int], span: Span) -> Diagnostic:
    return Diagnostic(
        "bad-margin",
        "error",
        "This line is indented less than the closing fence, or with other characters.",
        Span(source, at, at + 1),
        labels=(Label(Span(source, fence[1], span.end), "this fence sets the margin of every line"),),
        hint="indent the line at least as far as the fence, with the same tabs or spaces",
    )
