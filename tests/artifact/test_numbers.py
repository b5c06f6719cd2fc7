"""Numbers are read as written, exactly, and in linear time."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgrpo_artifact import numbers
from exgrpo_artifact.number_tokens import MOST_BEFORE_DIGIT, find_tokens, get_pattern
from exgrpo_artifact.numbers import (
    convert_to_fraction,
    find_last_number,
    format_number,
    is_same_number,
    parse_number,
)

LAST_NUMBERS = [
    ("The answer is -5.", "-5"),
    ("The answer is \u22125", "-5"),
    ("It fell to \u20135 degrees", "-5"),
    ("5-2", "2"),
    ("5 - 2", "2"),
    ("5 -2", "2"),
    ("(a+b)-2", "2"),
    ("from 5 to -2", "-2"),
    ("x=-1,234.50.", "-1234.5"),
    ("$1,200", "1200"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("$ 3 left", "3"),
    ("\\$18", "18"),
    ("$18$", "18"),
    ("$-18$", "-18"),
    ("**18**", "18"),
    ("\u20ac7.20 each", "7.2"),
    ("Rs.18", "18"),
    ("3/4", "0.75"),
    ("It is 1/3.", "1/3"),
    ("1 1/2 hours", "1.5"),
    ("-1 1/2 hours", "-1.5"),
    ("\\frac{3}{4}", "0.75"),
    ("-\\dfrac{3}{4}", "-0.75"),
    ("5\\frac{1}{2}", "5.5"),
    ("5/0", "0"),
    ("on 8/2/2024", "2024"),
    ("50%", "50"),
    ("1,23", "23"),
    ("1, 2, 3", "3"),
    ("1,234,5678", "5678"),
    ("1,00,000", "100000"),
    ("1{,}234", "1234"),
    ("1e5", "100000"),
    ("2.5e-3", "0.0025"),
    ("so ...5", "5"),
    (".5", "0.5"),
    ("3.14.15", "15"),
    ("10:30", "30"),
    ("5 kg of CO2", "5"),
    ("5 m\u00b2", "5"),
    ("\u662f18", "18"),
    ("\uff11\uff18", "18"),
    ("48/2 = <<48/2=24>>24 clips.", "24"),
]


@pytest.mark.parametrize(("text", "number"), LAST_NUMBERS)
def test_last_number(text: str, number: str) -> None:
    found = find_last_number(text)
    assert found is not None
    assert format_number(found) == number


@pytest.mark.parametrize("text", ["", "none", "x2", "-", "9" * 5000, "1e999"])
def test_no_number(text: str) -> None:
    assert find_last_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (" 18 ", 18),
        ("18.", 18),
        ("1,234", 1234),
        ("+5", 5),
        ("-$1,234.50", Fraction(-2469, 2)),
        ("3/4", Fraction(3, 4)),
    ],
)
def test_whole_text_is_a_number(text: str, number: Fraction) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "12 apples", "5-2", "50%", "1,23", "1/2/3", "1 2", "--5", "nan", "inf", "9" * 1000, "1_000"]
)
def test_whole_text_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@given(st.fractions(max_denominator=10**6))
def test_canonical_text_reads_back(number: Fraction) -> None:
    assert parse_number(format_number(number)) == number
    assert find_last_number(f"The answer is {format_number(number)}.") == number


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_thousands_separators_change_nothing(number: int) -> None:
    assert find_last_number(f"She has {number:,} left") == number


@given(st.text(alphabet="0123456789.,-/$\\ frac{}eE+%\u2212x", max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    whole, last = parse_number(text), find_last_number(text)
    if whole is not None:
        assert last == whole


PIECES = [
    *("1", "2", "10", ",", "/", " ", " ", "-", "$", "."),
    *("^", "\\frac", "{", "}", "x", "=", "a b", "negative ", "\n", "\u00bd"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_a_long_text_is_read_from_its_end_as_it_is_as_a_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    for tail in (8, 20, 50):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numbers, "_TAIL", tail)
            assert find_last_number(text) == find_last_number_of_all(text)


@given(st.lists(st.sampled_from([*PIECES, "\u00b2", "million ", "cents", "%"]), max_size=60))
def test_of_a_megabyte_only_what_can_have_a_part_in_the_last_number_is_read(pieces: list[str]) -> None:
    text = "1, 2 " * 100 + "".join(pieces) + "- x\n" * 100
    whole = numbers._find_last(numbers.unify_forms(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "_TAIL", 10**9)
        patch.setattr(numbers, "_REACH", 250)
        assert find_last_number(text) == (whole and whole.number)


def find_last_number_of_all(text: str) -> Fraction | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "_TAIL", 10**9)
        return find_last_number(text)


def test_floats_are_taken_as_they_print() -> None:
    assert convert_to_fraction(0.1) == Fraction(1, 10)
    assert convert_to_fraction(9.8) == Fraction("9.8")
    assert convert_to_fraction(float("nan")) is None
    assert convert_to_fraction(True) is None


def test_whole_numbers_are_compared_exactly_and_others_but_for_the_last_digits_of_floats() -> None:
    assert not is_same_number(Fraction(10**12), Fraction(10**12 + 1))
    assert is_same_number(Fraction(repr(0.1 + 0.2)), Fraction("0.3"))
    assert not is_same_number(Fraction("0.3"), Fraction("0.3001"))
    assert not is_same_number(Fraction("22090603"), Fraction("22090603.01"))
    assert not is_same_number(Fraction(0), Fraction(1, 10**15))


def test_unending_numerals_cost_no_more_than_their_length() -> None:
    for unit in ("1", "1,", "1/", "1e", "-", "$", ".1", "1 1/", "\\frac{1", "12,345,", "1-"):
        text = unit * (300_000 // len(unit))
        start = time.process_time()
        find_last_number(text)
        assert time.process_time() - start < 2, unit


PIECES = [*"0123456789-{}/.,%^$ a", "\u2212", "\u20ac", "\u2064", "US$", "\\$", "\\frac {", "\\dfrac { - "]


@given(pieces=st.lists(st.sampled_from(PIECES)))
def test_a_token_never_begins_further_before_its_first_digit_than_is_looked_at(pieces: list[str]) -> None:
    for match in get_pattern(False).finditer("".join(pieces)):
        digit = re.search("[0-9]", match.group())
        assert digit is not None
        assert digit.start() <= MOST_BEFORE_DIGIT


@given(
    pieces=st.lists(
        st.sampled_from([*PIECES, "\u0430", "\u4e2d", "x", "E", "e", "million", "cents", "dollars and "])
    )
)
def test_the_plain_pattern_finds_the_tokens_of_the_whole_one(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = [(match.span(), match.groupdict()) for match in find_tokens(text)]
    assert found == [(match.span(), match.groupdict()) for match in get_pattern(False).finditer(text)]


@pytest.mark.parametrize("value", [1e23, 2.0**53, 2.0**53 - 1, -3.0, 0.1, 1e300])
def test_a_float_is_the_number_that_it_prints_as(value: float) -> None:
    assert convert_to_fraction(value) == Fraction(repr(value))
