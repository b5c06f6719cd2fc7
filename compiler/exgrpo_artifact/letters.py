"""Options and truth values in texts: the letter that a text chooses, and whether it says yes or no.

Invariant: letters and truth values are words, never parts of words, and what is denied or named beside another is not stated.
"""

from __future__ import annotations

import re
from collections import deque

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
TRUTH_NAMES = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_AFTER_NO = re.compile(
    r"(?:and|as|because|but|he|i|if|in|its?|it's|not|or|she|since|so|that|the|there|these|they|this|those|we|when|you)\Z"
)
"""Words after `no` that leave it an answer; before others it belongs to them: "no one", "no evidence"."""


def find_letter(text: str) -> str | None:
    """The option that is stated: the last "answer is (B)", else the last "(B)", else the last capital on its own."""
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


def find_truth(text: str) -> str | None:
    """`yes` or `no`, as the last such word says; None without one."""
    found = None
    for match in _TRUTH.finditer(text):
        following = (match["next"] or "").strip().lower()
        if match["true"]:
            found = TRUTH_NAMES[match["true"].lower()]
            found = ("no" if found == "yes" else "yes") if match["not"] else found
        elif match["yes"].lower() == "yes" or not following or _AFTER_NO.match(following):
            found = match["yes"].lower()
    return found


def _find_last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None
