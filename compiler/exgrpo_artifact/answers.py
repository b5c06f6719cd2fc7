"""Reading an answer out of a text, and when two answers are the same.

Invariant: `extract_answer` gives the canonical text of an answer or None; a text without an answer is never the same
as anything. Rules for each kind follow the evaluation code of this line of work (RevThink), without its known errors:
signs are kept, and `yes` and `no` are words, not parts of words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

from exgrpo_artifact.boxed import find_last_boxed, is_same_math
from exgrpo_artifact.dates import find_last_date
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.manifest import AnswerSpec, FieldType
from exgrpo_artifact.numbers import (
    convert_to_fraction,
    find_last_number,
    format_number,
    is_same_number,
    parse_number,
)
from exgrpo_artifact.regex import Regex, RegexMatch, compile_regex
from exgrpo_artifact.regex_syntax import RegexError

__all__ = ["Answer", "answer_matches", "extract_answer", "parse_number", "same_answer"]

Answer = str | float | int | bool
"""A raw field value, or a text."""

_STATED_LETTER = re.compile(
    r"(?i:answer(?: is|:| =))[\s:*\"'`$]{0,6}(?:(?i:option|choice|letter) )?(?:\\boxed|\\text(?:bf)?|\\mathrm)?"
    r"(?:[(\[{] ?([A-Ja-j]) ?[)\]}]|([A-J])(?![\w'\u2019])|([a-j])(?=[)\].:,*]|[ \t]*(?:\n|\Z)))",
)
_BRACKETED_LETTER = re.compile(r"(?<!\w)[(\[]([A-Ja-j])[)\]]")
_BARE_LETTER = re.compile(r"(?<![\w'\u2019])([A-J])(?![\w'\u2019])(?P<next> [a-z]{1,12})?")
_AFTER_OPTION = frozenset({"is", "was", "because", "since", "as", "and", "or", "but"})
"""Words after a bare `A` or `I` that leave it an option; before others these are the article and the pronoun."""
_SECOND_LETTER = re.compile(
    r"[)\]}*]{0,3}[ ,/]{0,2}(?:(?:or|and) )?(?:[(\[][A-Ja-j][)\]]|(?<=or )[A-J](?!\w))"
)
"""What makes "the answer is (A) or (B)" state two."""

_TRUTH = re.compile(
    r"(?P<not>\bnot |n['\u2019]t )?(?<![\w-])(?P<true>true|false)(?![\w-])"
    r"|(?<![\w-])(?P<yes>yes|no)(?![\w-])(?P<next> [a-z]{1,12})?",
    re.IGNORECASE,
)
_TRUTH_NAMES = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_AFTER_NO = re.compile(
    r"(?:and|as|because|but|he|i|if|in|its?|it's|not|or|she|since|so|that|the|there|these|they|this|those|we|when|you)\Z"
)
"""Words after `no` that leave it an answer; before others it belongs to them: "no one", "no evidence"."""

_STATEMENT = re.compile(r"answer(?: is|:)", re.IGNORECASE)
_LATEX_TEXT = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf|textrm) ?\{")
_OPTION_MARK = re.compile(r"\A\s{0,3}(?:\([a-j]\)|[a-j]\))\s+(?=\w)")
"""The letter that an option is stated with: "(c) train station"."""
_ARTICLES = frozenset({"a", "an", "the"})
_DELETED = re.compile(r"['\u2018\u2019`\"\u201c\u201d*_]|(?<=[0-9]),(?=[0-9]{3})")
_SPACED = re.compile(
    r"(?<![0-9])[.]|[.](?![0-9])|[,;:!?()\[\]{}\u2026\u00bf\u00a1]|(?<=\w)-|-(?![0-9])|[\u2013\u2014]"
)


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
    return _EXTRACTORS[spec.kind](text)


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
        return is_same_math(left, right)
    if left == right or (spec.kind == "regex" and left == _extract_whole(b, spec)):
        return True
    return _is_numeric(spec) and is_same_number(Fraction(left), Fraction(right))


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
        return find_last_boxed(text) or text.strip() or None
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
    boxed = find_last_boxed(text)
    return None if boxed is None else _extract_number(boxed)


# --- words ------------------------------------------------------------------------------------------------


def _extract_letter(text: str) -> str | None:
    stated = _find_last_match(_STATED_LETTER, text)
    if stated is not None:
        if _SECOND_LETTER.match(text, stated.end()):
            return None
        return next(group for group in stated.groups() if group).upper()
    bracketed = _find_last_match(_BRACKETED_LETTER, text)
    if bracketed is not None:
        return bracketed[1].upper()
    found = None
    for match in _BARE_LETTER.finditer(text):
        following = match["next"]
        is_word = match[1] in "AI" and following and following.strip() not in _AFTER_OPTION
        found = found if is_word else match[1]
    return found


def _extract_truth(text: str) -> str | None:
    found = None
    for match in _TRUTH.finditer(text):
        following = (match["next"] or "").strip().lower()
        if match["true"]:
            found = _TRUTH_NAMES[match["true"].lower()]
            found = ("no" if found == "yes" else "yes") if match["not"] else found
        elif match["yes"].lower() == "yes" or not following or _AFTER_NO.match(following):
            found = match["yes"].lower()
    return found


def _find_last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None


def _convert_truth(value: Answer) -> str | None:
    if isinstance(value, str):
        return _extract_truth(value)
    return {0: "no", 1: "yes"}.get(value) if isinstance(value, int) else None


# --- texts ------------------------------------------------------------------------------------------------


def _extract_exact(text: str) -> str | None:
    return text.strip() or None


def _extract_normalized(text: str) -> str | None:
    last = _find_last_match(_STATEMENT, text)
    stated = text[last.end() :].partition("\n")[0].strip(" :*") if last else ""
    return _normalize(stated or text)


def _normalize(text: str) -> str | None:
    """NFKC, lower case, no articles, one blank between words; no punctuation but a number's own sign and point."""
    folded = unicodedata.normalize("NFKC", text).replace("\u2212", "-").casefold()
    folded = _OPTION_MARK.sub("", _LATEX_TEXT.sub("{", folded))
    words = _SPACED.sub(" ", _DELETED.sub("", folded)).split()
    kept = [word for word in words if word not in _ARTICLES]
    # An answer that is nothing but an article or punctuation ("A", "+") must not vanish.
    return " ".join(kept or words) or folded.strip() or None


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
        return _TRUTH_NAMES.get(shown)
    text = _show(value).strip()
    if type_ is not None and kind == "choice":
        folded = text.casefold()
        exact = [option for option in type_.options if option == text]
        return next(iter(exact or [option for option in type_.options if option.casefold() == folded]), None)
    return text or None


_EXTRACTORS: Mapping[str, Callable[[str], str | None]] = {
    "number.last": _extract_number,
    "number.boxed": _extract_boxed_number,
    "math.boxed": find_last_boxed,
    "choice.letter": _extract_letter,
    "yesno.last": _extract_truth,
    "date.last": find_last_date,
    "text.exact": _extract_exact,
    "text.normalized": _extract_normalized,
}
