"""Short texts as answers: what a text states, without what does not matter to it."""

from __future__ import annotations

import re
import unicodedata
from collections import deque

_STATEMENT = re.compile(r"answer(?: is|:)", re.IGNORECASE)
_LATEX_TEXT = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf|textrm) ?\{")
_OPTION_MARK = re.compile(r"\A\s{0,3}(?:\([a-j]\)|[a-j]\))\s+(?=\w)")
"""The letter that an option is stated with: "(c) train station"."""
_ARTICLES = frozenset({"a", "an", "the"})
_DELETED = re.compile(r"['\u2018\u2019`\"\u201c\u201d*_]|(?<=[0-9]),(?=[0-9]{3})")
_SPACED = re.compile(
    r"(?<![0-9])[.]|[.](?![0-9])|[,;:!?()\[\]{}\u2026\u00bf\u00a1]|(?<=\w)-|-(?![0-9])|[\u2013\u2014]"
)


def find_phrase(text: str) -> str | None:
    """The rest of the line after the last "answer is" or "answer:", or the whole text, normalised."""
    last = _find_last_statement(text)
    stated = text[last.end() :].partition("\n")[0].strip(" :*") if last else ""
    return normalize_phrase(stated or text)


def normalize_phrase(text: str) -> str | None:
    """NFKC, lower case, no articles, one blank between words; no punctuation but a number's own sign and point."""
    folded = unicodedata.normalize("NFKC", text).replace("\u2212", "-").casefold()
    folded = _OPTION_MARK.sub("", _LATEX_TEXT.sub("{", folded))
    words = _SPACED.sub(" ", _DELETED.sub("", folded)).split()
    kept = [word for word in words if word not in _ARTICLES]
    # An answer that is nothing but an article or punctuation ("A", "+") must not vanish.
    return " ".join(kept or words) or folded.strip() or None


def _find_last_statement(text: str) -> re.Match[str] | None:
    last = deque(_STATEMENT.finditer(text), maxlen=1)
    return last[0] if last else None
