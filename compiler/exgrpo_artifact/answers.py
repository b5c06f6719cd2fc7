"""Reading an answer out of a text, and when two answers are the same.

Invariant: `extract_answer` gives the canonical text of an answer or None; a text without an answer is never the same
as anything. Rules for each kind follow the evaluation code of this line of work (RevThink), without its known errors:
signs are kept, and `yes` and `no` are words, not parts of words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.manifest import AnswerSpec, FieldType
from exgrpo_artifact.numbers import (
    convert_to_fraction,
    find_last_number,
    format_number,
    is_same_number,
    parse_number,
    read_exact,
)

if TYPE_CHECKING:
    from exgrpo_artifact.regex import Regex, RegexMatch

__all__ = ["Answer", "answer_matches", "extract_answer", "parse_number", "same_answer"]

Answer = str | float | int | bool
"""A raw field value, or a text."""


def extract_answer(text: str, spec: AnswerSpec) -> str | None:
    """The canonical text of the answer that `text` gives, or None where it gives none.

    Args:
        text: any text; a megabyte of junk takes well under a second.
        spec: how to read it. `text.exact` reads the whole text without surrounding blanks; `text.normalized` reads
            the rest of the line after the last "answer is" or "answer:", or the whole text where neither stands.

    Raises:
        MissingDependencyError: never here; `same_answer` alone needs math-verify.
    """
    if spec.kind == "regex":
        return _extract_regex(text, spec)
    return _load_extractor(spec.kind)(text)


def same_answer(a: Answer, b: Answer, spec: AnswerSpec) -> bool:
    """Whether two answers are the same by `spec`; `b` is the gold one, which matters to `math.boxed` and `regex`.

    A gold text that the pattern of a `regex` matches as a whole also stands for what its group takes: `answer3` for `3`.

    Raises:
        MissingDependencyError: `math.boxed` without math-verify.
        UndecidedError: `math.boxed`, and they could not be compared within the limits of time and memory.
    """
    left, right = _canonicalize(a, spec), _canonicalize(b, spec)
    if left is None or right is None:
        return False
    if spec.kind == "math.boxed":
        from exgrpo_artifact.boxed import is_same_math

        return is_same_math(left, right)
    if left == right or (spec.kind == "regex" and left == _extract_whole(b, spec)):
        return True
    return _is_numeric(spec) and is_same_number(read_exact(left), read_exact(right))


def answer_matches(text: str, gold: Answer, spec: AnswerSpec) -> bool:
    """Whether `text` gives the answer `gold`.

    >>> answer_matches("5 - 2 = 3. The answer is $3.00.", 3, AnswerSpec(kind="number.last"))
    True

    Raises:
        MissingDependencyError: `math.boxed` without math-verify.
        UndecidedError: `math.boxed`, and they could not be compared within the limits of time and memory.
    """
    answer = extract_answer(text, spec)
    return answer is not None and same_answer(answer, gold, spec)


def _canonicalize(value: Answer, spec: AnswerSpec) -> str | None:
    """The answer that a raw value is, read as a whole where that is possible, else out of its text."""
    if spec.kind == "regex":
        return _convert(value, spec.type) or (_extract_regex(value, spec) if isinstance(value, str) else None)
    if _is_numeric(spec):
        number = convert_to_fraction(value)
        if number is not None:
            return format_number(number)
        return extract_answer(value, spec) if isinstance(value, str) else None
    if spec.kind == "yesno.last":
        return _convert_truth(value)
    text = _show(value)
    if spec.kind == "choice.letter" and len(text.strip(" ().[]")) == 1:
        letter = text.strip(" ().[]").upper()
        return letter if "A" <= letter <= "J" else None
    if spec.kind == "math.boxed":
        return extract_answer(text, spec) or text.strip() or None
    return extract_answer(text, spec)


def _is_numeric(spec: AnswerSpec) -> bool:
    """Whether its canonical texts are those of numbers."""
    is_typed = spec.kind == "regex" and spec.type is not None and spec.type.kind in ("number", "int")
    return is_typed or spec.kind in ("number.last", "number.boxed")


def _show(value: Answer) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    number = None if isinstance(value, str) else convert_to_fraction(value)
    return str(value) if number is None else format_number(number)


# --- numbers ----------------------------------------------------------------------------------------------


# A reward asks the same text for its answer and for its format.
@lru_cache(maxsize=16)
def _extract_number(text: str) -> str | None:
    number = find_last_number(text)
    return None if number is None else format_number(number)


def _extract_boxed_number(text: str) -> str | None:
    boxed = _load_extractor("math.boxed")(text)
    return None if boxed is None else _extract_number(boxed)


# --- words ------------------------------------------------------------------------------------------------


def _convert_truth(value: Answer) -> str | None:
    if isinstance(value, str):
        return _load_extractor("yesno.last")(value)
    return {0: "no", 1: "yes"}.get(value) if isinstance(value, int) else None


# --- texts ------------------------------------------------------------------------------------------------


def _extract_exact(text: str) -> str | None:
    return text.strip() or None


# --- regular expressions ----------------------------------------------------------------------------------


def _extract_regex(text: str, spec: AnswerSpec) -> str | None:
    regex = _compile_pattern(spec)
    match = regex.find_first(text) if spec.which == "first" else regex.find_last(text)
    return None if match is None else _take_group(regex, match, text, spec)


def _extract_whole(value: Answer, spec: AnswerSpec) -> str | None:
    """The answer in a gold text that is one match of the pattern and nothing else."""
    if not isinstance(value, str):
        return None
    text, regex = value.strip(), _compile_pattern(spec)
    match = regex.find_first(text)
    if match is None or (match.start, match.end) != (0, len(text)):
        return None
    return _take_group(regex, match, text, spec)


def _compile_pattern(spec: AnswerSpec) -> Regex:
    from exgrpo_artifact.regex import compile_regex
    from exgrpo_artifact.regex_syntax import RegexError

    try:
        return compile_regex(spec.pattern or "")
    except RegexError as error:
        raise ArtifactError(
            f"the artifact has the regular expression {spec.pattern!r}: {error.message} Compile the spec again."
        ) from error


def _take_group(regex: Regex, match: RegexMatch, text: str, spec: AnswerSpec) -> str | None:
    start, end = (match.group_start, match.group_end) if regex.has_group else (match.start, match.end)
    return None if start < 0 else _convert(text[start:end], spec.type)


def _convert(value: Answer, type_: FieldType | None) -> str | None:
    """Canonical text of `value` as `type_`; None where it is not of that type."""
    kind = "text" if type_ is None else type_.kind
    if kind in ("number", "int"):
        number = convert_to_fraction(value)
        is_fit = number is not None and (kind == "number" or number.denominator == 1)
        return format_number(number) if number is not None and is_fit else None
    if kind == "bool":
        shown = _show(value).strip().lower()
        return {"yes": "yes", "true": "yes", "no": "no", "false": "no"}.get(shown)
    text = _show(value).strip()
    if type_ is not None and kind == "choice":
        folded = text.casefold()
        exact = [option for option in type_.options if option == text]
        return next(iter(exact or [option for option in type_.options if option.casefold() == folded]), None)
    return text or None


@lru_cache(maxsize=16)
def _load_extractor(kind: str) -> Callable[[str], str | None]:
    """The function that reads one kind; its patterns are compiled where the kind is first used."""
    if kind == "number.last":
        return _extract_number
    if kind == "number.boxed":
        return _extract_boxed_number
    if kind == "text.exact":
        return _extract_exact
    if kind == "date.last":
        from exgrpo_artifact.dates import find_last_date

        return find_last_date
    if kind == "math.boxed":
        from exgrpo_artifact.boxed import find_last_boxed

        return find_last_boxed
    if kind == "text.normalized":
        from exgrpo_artifact.phrases import find_phrase

        return find_phrase
    from exgrpo_artifact.letters import find_letter, find_truth

    return {"choice.letter": find_letter, "yesno.last": find_truth}[kind]
