"""Regular expressions of specs: the answers of Python's `re`, in time linear in the text."""

from __future__ import annotations

import random
import re
import threading
import time
import warnings

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exgrpo_artifact import regex as regex_module
from exgrpo_artifact.answers import extract_answer
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.regex import compile_regex
from exgrpo_artifact.regex_syntax import RegexError, parse_extractor, parse_regex

Spans = list[tuple[int, ...]]


def find_by_re(pattern: str, text: str) -> Spans:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = re.compile(pattern)
    found = compiled.finditer(text)
    return [(*match.span(), *(match.span(1) if compiled.groups else (-1, -1))) for match in found]


def find_by_us(pattern: str, text: str) -> Spans:
    return [tuple(match) for match in compile_regex(pattern).iterate_matches(text)]


# --- the same as re ---------------------------------------------------------------------------------------

LEAVES = ["a", "b", "[ab]", "[^a]", ".", r"\w", r"\d", r"\s", r"\n", "é", "[A-C]", r"\.", "{", "[]a]"]
ANCHORS = [r"\b", "^", "$", r"\B", r"\A", r"\Z"]
REPEATS = ["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "{,}", "{0}"]


def repeat(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("(?:{}){}{}".format, parts, st.sampled_from(REPEATS), st.sampled_from(["", "?"]))


PARTS = st.recursive(
    st.sampled_from(LEAVES + ANCHORS),
    lambda parts: st.one_of(
        st.builds("{}{}".format, parts, parts),
        st.builds("(?:{}|{})".format, parts, parts),
        st.builds("(?:{}|)".format, parts),
        repeat(parts),
    ),
    max_leaves=8,
)
PATTERNS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "(?i)", "(?m)", "(?s)", "(?im)"]),
    PARTS,
    st.one_of(st.just(""), st.builds("({})".format, PARTS), st.builds("(?:({})|b)+?".format, PARTS)),
    PARTS,
)


@given(pattern=PATTERNS, text=st.text(alphabet="aabBcA1. {]\né", min_size=1, max_size=9))
def test_all_matches_and_groups_are_those_of_re(pattern: str, text: str) -> None:
    try:
        compile_regex(pattern)
    except RegexError as error:
        assume("cannot be repeated" not in error.message)
        raise
    assert find_by_us(pattern, text) == find_by_re(pattern, text)


NAMED = {
    "greedy takes the longest": (r"a+", "caaat"),
    "lazy takes the shortest": (r"a+?", "caaat"),
    "the first alternative wins, not the longest": (r"a|ab", "abab"),
    "an alternative is given up where the rest fails": (r"(a|ab)c", "abc"),
    "the group is what its last round took": (r"(?:(\d)|x)+", "1x2x"),
    "the group that took no part": (r"(\d)?x", "x1x"),
    "empty matches stand between others": (r"a*", "baac"),
    "an empty match may follow a match": (r"|a", "aa"),
    "anchors at line ends": (r"(?m)^(.*)$", "a\nb\n"),
    "the end comes before a final line feed": (r"(\w)$", "a\nb\n"),
    "the very end does not": (r"(.)\Z", "a\nb"),
    "words end where letters do": (r"\b(\w+)\b", "it's 5."),
    "case is Unicode's": (r"(?i)straße|\u017f|K", "STRASSE Straße s \u212a"),
    "digits of other scripts are digits": (r"\d+", "\u0661\u0662 12"),
    "a brace that counts nothing is a brace": (r"\\boxed{(\d+)}", r"\boxed{5}"),
    "a class that begins with its own bracket": (r"[]x]+", "x]]"),
    "escapes": (r"\x41\u0042\t", "AB\t"),
    "a counted repeat": (r"(?:\d{1,3},)*\d{3}", "1,234,567 12"),
    "the answer of a choice": (r"\(?([A-D])\)?", "(A) or B)"),
    "what an exponential matcher never ends on": (r"(a+)+b", "aaaaaaab"),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_cases(name: str) -> None:
    pattern, text = NAMED[name]
    assert find_by_us(pattern, text) == find_by_re(pattern, text) != []


@pytest.mark.parametrize(
    "pattern", [r"x\b", "^x", "x$", r"\Ax", r"x\Z", "(?m)^x", "^$", "^", r"\b", "x?$", "(?:^|a)"]
)
@pytest.mark.parametrize("text", ["", "x", "\n", " "])
def test_anchors_in_the_shortest_texts(pattern: str, text: str) -> None:
    assert find_by_us(pattern, text) == find_by_re(pattern, text)


def test_first_and_last_are_the_ends_of_all_matches() -> None:
    regex = compile_regex(r"\((\w)\)")
    first, last = regex.find_first("(a)(b)(c)"), regex.find_last("(a)(b)(c)")
    assert (first and first.group_start, last and last.group_start) == (1, 7)
    assert regex.find_first("abc") is None
    assert regex.find_last("") is None


def test_a_text_that_asks_for_too_many_states_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex_module, "MAX_KEPT", 5)
    rng = random.Random(0)
    for pattern in (r"a[ab]{6}b", r"(?:a|b[ab]{3})+?(a)", r"\b[ab]{2,5}$"):
        regex = regex_module.Regex(pattern)
        for _ in range(50):
            text = "".join(rng.choice("ab \n") for _ in range(30))
            assert [tuple(match) for match in regex.iterate_matches(text)] == find_by_re(pattern, text)


def test_threads_share_a_pattern() -> None:
    pattern = r"(?i)\b([a-z]+\d)\b"
    texts = ["".join(chr(33 + (7 * at + shift) % 900) for at in range(2000)) + " x1" for shift in range(8)]
    expected = [find_by_re(pattern, text) for text in texts]
    regex = regex_module.Regex(pattern)
    found: dict[int, Spans] = {}

    def find(at: int) -> None:
        found[at] = [tuple(match) for match in regex.iterate_matches(texts[at])]

    threads = [threading.Thread(target=find, args=(at,)) for at in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[at] for at in range(len(texts))] == expected


# --- linear time ------------------------------------------------------------------------------------------

HOSTILE = {
    "nested repeats": ("(a+)+b", "a"),
    "equal alternatives": ("(?:a|a)*b", "a"),
    "three stars": ("a*a*a*b", "a"),
    "every match looks to the end": ("a*b|a", "a"),
    "a blank before what never comes": (r"(\s+)x", " "),
    "counted": (r"(?:.{0,60}a.{0,60}b){3}", "ab"),
    "many states": (r"a[ab]{13}b", "abba"),
    "every place is a match": (r"\(?([A-D])\)?", "(A"),
    "anchors": (r"\b(\w+)\b$", "a "),
    "lazy": (r"(a.*?)+?z", "ab"),
    "lines": (r"(?m)^(.*)\d$", "1\n1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_in_the_text(name: str) -> None:
    pattern, unit = HOSTILE[name]
    regex = compile_regex(pattern)
    short, long = (measure(regex, unit * (size // len(unit))) for size in (100_000, 400_000))
    # Four times the text takes four times as long, give or take what else the machine does; sixteen were quadratic.
    assert long < 9 * max(short, 0.01), (short, long)


def measure(regex: regex_module.Regex, text: str) -> float:
    def run() -> float:
        start = time.process_time()
        regex.find_last(text)
        return time.process_time() - start

    return min(run(), run())


# --- what is refused --------------------------------------------------------------------------------------

REFUSED = [
    (r"(?=x)y", "(?=", "look-ahead"),
    (r"a(?!x)", "(?!", "look-ahead"),
    (r"(?<=x)y", "(?<=", "look-behind"),
    (r"(?<!x)y", "(?<!", "look-behind"),
    (r"(a)\1", r"\1", "Back-references"),
    (r"(?P<n>a)(?P=n)", "(?P=", "back-reference"),
    (r"(a)?(?(1)b|c)", "(?(", "condition"),
    (r"(?>a+)b", "(?>", "atomic"),
    (r"a(?#note)", "(?#", "comment"),
    (r"a++b", "++", "possessive"),
    (r"a{2}+", "{2}+", "possessive"),
    (r"(a)(b)", "(", "second group"),
    (r"(?x)a b", "x", "flag"),
    (r"(?i:a)", "(?i:", "start"),
    (r"(?:a*)*", "(?:a*)*", "cannot be repeated"),
    (r"(?:a|)+", "(?:a|)+", "cannot be repeated"),
    (r"(?:\b){2}", r"(?:\b){2}", "cannot be repeated"),
    (r"a{501}", "a{501}", "too large"),
    (r"(?:a{50}){50}", "(?:a{50}){50}", "too large"),
    ("(" * 45 + ")" * 45, "(", "nest"),
    ("(a", "(", "malformed"),
    ("[b-a]", "b", "malformed"),
    (r"\q", "\\", "malformed"),
    ("a" * 1001, "a", "1000 characters"),
]


@pytest.mark.parametrize(("pattern", "wrong", "word"), REFUSED)
def test_what_is_outside_the_subset_is_refused_at_its_place(pattern: str, wrong: str, word: str) -> None:
    with pytest.raises(RegexError, match=word) as caught:
        parse_regex(pattern)
    assert pattern[caught.value.start : caught.value.end] == wrong


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        (r"\d*", "nothing at all"),
        ("a|", "nothing at all"),
        (r"\boxed{(\d+)}", "LaTeX"),
        (r"\frac{(\d)}", "LaTeX"),
    ],
)
def test_a_pattern_that_cannot_serve_as_an_extractor_is_refused(pattern: str, word: str) -> None:
    parse_regex(pattern)
    with pytest.raises(RegexError, match=word):
        parse_extractor(pattern)


@pytest.mark.parametrize(
    "pattern", [r"^\d*$", r"\\boxed\{(\d+)\}", r"[(?=]([A-D])", r"(?P<letter>[A-D])\)", r"\bno\b"]
)
def test_extractors(pattern: str) -> None:
    parse_extractor(pattern)


@given(st.text(alphabet="ab()[]{}*+?|\\^$.,-:=!<>P1i", max_size=20))
def test_any_text_is_a_pattern_that_matches_as_in_re_or_an_error_with_a_place(pattern: str) -> None:
    try:
        compile_regex(pattern)
    except RegexError as error:
        refused = error
    else:
        assert find_by_us(pattern, "ab(1)") == find_by_re(pattern, "ab(1)")
        return
    assert 0 <= refused.start <= refused.end <= len(pattern)
    assert refused.message.endswith(".")


def test_an_artifact_with_a_foreign_pattern_is_refused() -> None:
    with pytest.raises(ArtifactError, match="look-ahead"):
        extract_answer("x", AnswerSpec(kind="regex", pattern="(?=x)"))
