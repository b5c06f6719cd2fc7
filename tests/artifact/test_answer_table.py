r"""What each kind reads out of sentences as students write them: forms that count, traps of other graders, and what is not read.

Each case is a text and the answer in it, or None. Where two readings are possible, the name says which one is taken.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exgrpo_artifact.answers import answer_matches, extract_answer
from exgrpo_artifact.manifest import AnswerKind, AnswerSpec

Table = dict[str, tuple[str, str | None]]

NUMBERS: Table = {
    # --- signs
    "a hyphen before a number is its sign": ("The answer is -5.", "-5"),
    "a minus sign is one": ("The answer is \u22125", "-5"),
    "an en dash is one": ("It fell to \u20135 degrees", "-5"),
    "an em dash is one": ("Answer: \u20145", "-5"),
    "a figure dash is one": ("Answer: \u20125", "-5"),
    "a hyphen that does not break is one": ("Answer: \u20115", "-5"),
    "a small hyphen is one": ("Answer: \ufe635", "-5"),
    "a full-width hyphen is one": ("Answer: \uff0d5", "-5"),
    "a minus after an equals sign may stand apart": ("x = - 5", "-5"),
    "a minus sign that stands apart is one": ("The answer is \u2212 5", "-5"),
    "a dash that stands apart is none": ("The answer is \u2013 5", "5"),
    "a bullet is no minus": ("The sums are:\n- 5", "5"),
    "the word negative is a sign": ("The answer is negative 5.", "-5"),
    "the word minus is a sign": ("The answer is minus $5.", "-5"),
    "the word minus subtracts": ("It is x minus 5", "5"),
    "a minus in LaTeX": ("The answer is $-5$.", "-5"),
    "a minus before a dollar": ("-$5", "-5"),
    "a minus after a dollar": ("$-5", "-5"),
    "a minus before a foreign dollar": ("-US$5", "-5"),
    "a minus before an escaped dollar": (r"$-\$5$", "-5"),
    "a minus in bold": ("**-5**", "-5"),
    "a minus in brackets": ("(-5)", "-5"),
    "a difference ends in a positive number": ("5-2", "2"),
    "a difference with blanks": ("5 - 2", "2"),
    "a difference with one blank": ("5 -2", "2"),
    "a difference with a minus sign": ("5 \u2212 2", "2"),
    "a difference after brackets": ("(a+b)-2", "2"),
    "a difference of amounts": ("$5-$2", "2"),
    "a difference in LaTeX": ("$18$-$20$", "20"),
    "a range ends in its upper end": ("It takes 3-5 days", "5"),
    "a range with an en dash": ("It takes 3\u20135 days", "5"),
    "a range down to a negative number": ("from 5 to -2", "-2"),
    "a plus sign": ("The answer is +5", "5"),
    "about": ("about ~5", "5"),
    # --- thousands
    "commas between thousands": ("1,234,567", "1234567"),
    "a comma and decimals": ("$1,234.50", "1234.5"),
    "Indian grouping": ("1,00,000", "100000"),
    "Indian grouping of crores": ("12,34,56,789", "123456789"),
    "Swiss grouping": ("1'234'567", "1234567"),
    "Swiss grouping with a typographic apostrophe": ("1\u2019234.50", "1234.5"),
    "a thin space": ("12\u2009598", "12598"),
    "a narrow space that does not break": ("12\u202f598", "12598"),
    "a space that does not break": ("1\u00a0000\u00a0000", "1000000"),
    "a comma of LaTeX": ("1{,}234", "1234"),
    "a comma with a negative space": (r"1,\!234", "1234"),
    "a thin space of LaTeX": (r"12\,598", "12598"),
    "a plain space separates numbers": ("1 000", "0"),
    "a comma and a space separate numbers": ("1, 000", "0"),
    "four digits after a comma are a number of their own": ("1,2345", "2345"),
    "two digits after a comma are a number of their own": ("1,23", "23"),
    "a list ends in its last": ("1, 2, 3", "3"),
    "a pair": ("(3,4)", "4"),
    "feet and inches": ("5'10", "10"),
    # --- decimals
    "3.0 is 3": ("3.0", "3"),
    "18.00 is 18": ("$18.00.", "18"),
    "no digit before the point": (".5", "0.5"),
    "an ellipsis is no point": ("so ...5", "5"),
    "a final period is not part of it": ("18.", "18"),
    "three final periods": ("18...", "18"),
    "an exclamation mark is no factorial": ("It is 5!", "5"),
    "a version": ("3.14.15", "15"),
    # --- fractions
    "a fraction": ("3/4", "0.75"),
    "a fraction that never ends": ("It is 1/3.", "1/3"),
    "a negative fraction": ("-3/4", "-0.75"),
    "a mixed number": ("1 1/2 hours", "1.5"),
    "a mixed number with and": ("2 and 1/2 hours", "2.5"),
    "a negative mixed number": ("-1 1/2", "-1.5"),
    "a fraction of one character": ("\u00bd cup", "0.5"),
    "a mixed number with a fraction of one character": ("1\u00bd cups", "1.5"),
    "a mixed number with a blank": ("1 \u2154", "5/3"),
    "a negative mixed number with a fraction of one character": ("\u22121\u00bd", "-1.5"),
    "a fraction slash": ("3\u20444", "0.75"),
    "a fraction of LaTeX": (r"\frac{3}{4}", "0.75"),
    "a small fraction of LaTeX": (r"\tfrac{3}{4}", "0.75"),
    "a display fraction of LaTeX": (r"-\dfrac{3}{4}", "-0.75"),
    "a fraction without braces": (r"\frac34", "0.75"),
    "a fraction with a negative numerator": (r"\frac{-3}{4}", "-0.75"),
    "a mixed number of LaTeX": (r"5\frac{1}{2}", "5.5"),
    "a mixed number of LaTeX with a blank": (r"5 \frac{1}{2}", "5.5"),
    "a fraction over nothing is its last number": ("5/0", "0"),
    "a date ends in its year": ("on 8/2/2024", "2024"),
    "amounts with thousands": ("1,000/8", "125"),
    # --- percent and currency
    "a percentage is its number": ("50%", "50"),
    "a percentage of LaTeX": (r"$12.5\%$", "12.5"),
    "a percentage in words": ("50 percent", "50"),
    "a full-width percentage": ("\uff15\uff10\uff05", "50"),
    "dollars before": ("$18", "18"),
    "dollars after": ("18$", "18"),
    "dollars in words": ("18 dollars", "18"),
    "escaped dollars": (r"\$18", "18"),
    "dollars in LaTeX": ("$18$", "18"),
    "dollars in display LaTeX": ("$$18$$", "18"),
    "dollars apart": ("$ 3 left", "3"),
    "euros": ("\u20ac7.20 each", "7.2"),
    "euros after": ("7.20 \u20ac", "7.2"),
    "pounds": ("\u00a37", "7"),
    "yen": ("\u00a51,000", "1000"),
    "rupees": ("Rs.18", "18"),
    "a currency code": ("USD 18", "18"),
    "cents are cents": ("50 cents", "50"),
    "a cent sign": ("50\u00a2", "50"),
    "dollars and cents": ("It costs 5 dollars and 25 cents.", "5.25"),
    "dollars and cents with a sign": ("It costs $5 and 25 cents.", "5.25"),
    "other things and cents": ("It costs 5 apples and 25 cents.", "25"),
    "an hourly rate": ("$18/hour", "18"),
    # --- units, words and exponents
    "a unit": ("18 km", "18"),
    "a unit without a blank": ("18km", "18"),
    "a unit with an exponent": ("25 m^2", "25"),
    "a unit with an exponent in braces": (r"25\text{ cm}^{2}", "25"),
    "a unit with a negative exponent": ("25 m^{-2}", "25"),
    "a unit with a superscript": ("25 m\u00b2", "25"),
    "a unit that ends in a digit": ("25 m2", "25"),
    "a formula": ("5 kg of CO2", "5"),
    "a name with a number": ("5 sheets of A4", "5"),
    "degrees": (r"90^\circ", "90"),
    "degrees in braces": (r"90^{\circ}", "90"),
    "a text of LaTeX": (r"18\text{ dollars}", "18"),
    "an index": (r"x_{1} = 7 = x_2", "7"),
    "an ordinal": ("on the 5th day", "5"),
    "a time is its minutes": ("10:30", "30"),
    "numbers in words are not read": ("eighteen", None),
    "a variable": ("x2", None),
    "infinity": ("\u221e, nan, inf", None),
    # --- powers and scale
    "an exponent": ("1e5", "100000"),
    "a negative exponent": ("2.5e-3", "0.0025"),
    "scientific notation": ("3 x 10^5", "300000"),
    "scientific notation with a cross": ("3.2 \u00d7 10^-2", "0.032"),
    "scientific notation of LaTeX": (r"$3 \times 10^{5}$", "300000"),
    "scientific notation with superscripts": ("3\u00d710\u2075", "300000"),
    "scientific notation, negative superscripts": ("3\u00b710\u207b\u00b2", "0.03"),
    "a power of ten": ("10^5.", "100000"),
    "a power": ("2^{10}", "1024"),
    "a square of one character": ("5\u00b2", "25"),
    "a product is not worked out": ("3 x 10", "10"),
    "millions": ("1.2 million people", "1200000"),
    "thousands in words": ("$5 thousand", "5000"),
    "more digits than a float holds": ("9" * 400, None),
    "more digits than a float holds, by an exponent": ("1e999", None),
    "more digits than a float holds, by a power": ("10^999", None),
    # --- what is said around it
    "GSM8K's mark": ("5 + 13 = <<5+13=18>>18\n#### 18", "18"),
    "an answer given twice": ("The answer is 18. So it is 18.", "18"),
    "an answer that is corrected": ("The answer is 17. No, 18.", "18"),
    "a hedge is its last number": ("either 4 or 5", "5"),
    "two quantities are the last": ("5 apples and 3 pears", "3"),
    "a number after the answer counts, for it is the last": ("The answer is 12. That took 3 steps", "3"),
    "a step number after the answer too": ("It is twelve, by step 2.", "2"),
    "an echo of the prompt": ("What is 5 - 2? The answer is 3.", "3"),
    "bold": ("**18**", "18"),
    "code": ("`18`", "18"),
    "a box": (r"\boxed{18}", "18"),
    "full-width digits": ("\uff11\uff18", "18"),
    "no blank between scripts": ("\u662f18\u3002", "18"),
    "a line feed after": ("18\n\n", "18"),
    "nothing": ("", None),
    "no number": ("I do not know.", None),
}

BOXED: Table = {
    "a box": (r"So \boxed{18}.", "18"),
    "an amount": (r"\boxed{\$1,000\text{ dollars}} and 5", "1000"),
    "an equation": (r"\boxed{x = \frac{1}{2}}", "0.5"),
    "nested braces": (r"\boxed{\frac{3}{4}} of 8", "0.75"),
    "a box in a box": (r"\boxed{\boxed{7}}", "7"),
    "a box that is not closed": (r"\boxed{3} then \boxed{5", "3"),
    "the last of two": (r"\boxed{3} \boxed{-5}", "-5"),
    "no box": ("18", None),
    "an empty box": (r"\boxed{}", None),
    "a box without a number": (r"\boxed{none}", None),
    "a framed box": (r"\fbox{9}", "9"),
}

LETTERS: Table = {
    "stated in brackets": ("The answer is (B).", "B"),
    "others are named before and after": ("(A) is wrong. The answer is (B), not (C).", "B"),
    "after a colon": ("Answer: B", "B"),
    "in bold": ("**Answer: (E)**", "E"),
    "in bold, bare": ("The answer is **C**.", "C"),
    "in a box": (r"The answer is \boxed{C}", "C"),
    "in a text of LaTeX": (r"The answer is \text{(C)}", "C"),
    "small, with its option": ("So the answer is (c) train station.", "C"),
    "small, at the end of a line": ("Answer: b\n", "B"),
    "small, with a bracket": ("The answer is b) dog", "B"),
    "the last statement counts": ("The answer is (A). No, the answer is (D).", "D"),
    "bracketed, the last": ("(A) no (B)", "B"),
    "bare": ("The correct option is D.", "D"),
    "bare, at the end": ("I think it is B", "B"),
    "bare, at the start": ("B is what I choose", "B"),
    "alone": ("A", "A"),
    "alone with a bracket": ("C)", "C"),
    "A before a verb": ("A is right", "A"),
    "the option A": ("The answer is A.", "A"),
    "denied, then stated": ("The answer is not (A), it is (B).", "B"),
    "the article is no option": ("A dog barks", None),
    "the article in a statement is no option": ("the answer is a dog", None),
    "the pronoun is no option": ("I choose nothing", None),
    "a contraction is no option": ("I'm unsure", None),
    "plurals are no options": ("f(a) and egg(s)", None),
    "letters in a word are none": ("ABC", None),
    "two options are none": ("The answer is (A) or (B).", None),
    "two options in one bracket each are none": ("The answer is (A)(B)", None),
    "the text of an option is none": ("The answer is train station.", None),
    "nothing": ("", None),
}

TRUTHS: Table = {
    "yes": ("Yes.", "yes"),
    "true is yes": ("the correct answer is true", "yes"),
    "false is no": ("the correct answer is false", "no"),
    "the last counts": ("No... wait. It is TRUE", "yes"),
    "know holds no no": ("I know nothing of it.", None),
    "nor do nobody, nods and no-one": ("True: nobody nods at no-one.", "yes"),
    "nor does casino": ("Yes, the casino has a piano.", "yes"),
    "no one is no no": ("Yes, but no one knows.", "yes"),
    "no evidence is no no": ("Yes. There is no evidence against it.", "yes"),
    "no doubt is no no": ("Yes, no doubt.", "yes"),
    "no before a clause is a no": ("No it is not.", "no"),
    "no before a reason is a no": ("The answer is no because it rains.", "no"),
    "untrue is no true": ("No, that is untrue.", "no"),
    "not true is no": ("That is not true.", "no"),
    "isn't true is no": ("That isn't true.", "no"),
    "not false is yes": ("That is not false.", "yes"),
    "in bold": ("**Yes**", "yes"),
    "in quotation marks": ("'no'", "no"),
    "a hedge is its last word": ("yes or no", "no"),
    "an echo of the prompt": ("Answer yes or no. Yes", "yes"),
    "neither": ("maybe", None),
}

DATES: Table = {
    "month first": ("05/01/2024", "2024-05-01"),
    "day first where the month would be above 12": ("31/12/2024", "2024-12-31"),
    "day first with periods": ("1.5.2024", "2024-05-01"),
    "ISO": ("2024-05-01", "2024-05-01"),
    "year first": ("2024/5/1", "2024-05-01"),
    "English": ("May 1, 2024", "2024-05-01"),
    "British": ("the 1st of May 2024", "2024-05-01"),
    "shortened": ("Sept. 3rd, 2001", "2001-09-03"),
    "the last that exists": ("2024-02-28, or rather 2024-02-30", "2024-02-28"),
    "a leap day": ("February 29, 2024", "2024-02-29"),
    "no leap day": ("02/29/2023", None),
    "a year of five digits": ("12345-01-01", None),
    "no month": ("Marching 3, 2024", None),
    "no year": ("May 1", None),
}

TEXTS: Table = {
    "the rest of the line after the statement": ("So the answer is: a wooded area.\nIndeed.", "wooded area"),
    "the last statement": ("The answer is no.\nThe answer is yes.", "yes"),
    "the whole text without a statement": ("The Train-Station!", "train station"),
    "an option's letter is left out": ("The answer is (c) train station.", "train station"),
    "an option's name is kept": ("the correct answer is answer3", "answer3"),
    "in bold": ("**Answer:** Wooded Area", "wooded area"),
    "in a box": (r"The answer is \boxed{\text{wooded area}}", "wooded area"),
    "ligatures": ("\ufb01sh", "fish"),
    "numbers keep their sign": ("\u22125", "-5"),
    "numbers keep their point": ("3.5", "3.5"),
    "numbers lose their commas": ("1,234", "1234"),
    "an article alone is kept": ("A", "a"),
    "punctuation alone is kept": ("+", "+"),
    "nothing": (" ", None),
}

TABLES: dict[AnswerKind, Table] = {
    "number.last": NUMBERS,
    "number.boxed": BOXED,
    "choice.letter": LETTERS,
    "yesno.last": TRUTHS,
    "date.last": DATES,
    "text.normalized": TEXTS,
}
CASES = [(kind, name) for kind, table in TABLES.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_named_case(kind: AnswerKind, name: str) -> None:
    text, answer = TABLES[kind][name]
    spec = AnswerSpec(kind=kind)
    assert extract_answer(text, spec) == answer
    if answer is not None:
        assert answer_matches(text, answer, spec)


def test_the_table_is_large() -> None:
    assert len(CASES) >= 200


def test_the_table_of_the_language_page_is_so() -> None:
    page = (Path(__file__).parents[2] / "docs" / "language.md").read_text("utf-8")
    table = page.partition("| written | read as |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*`) \| (\S+) \|", table, re.MULTILINE)
    assert len(rows) >= 9
    for forms, number in rows:
        for form in re.findall("`([^`]+)`", forms):
            for text in (form, f"The answer is {form}."):
                assert extract_answer(text, AnswerSpec(kind="number.last")) == number, text


# --- the same answer, or not ------------------------------------------------------------------------------

NEVER: list[tuple[AnswerKind, str, str | float]] = [
    ("number.last", "The answer is 5.", -5),
    ("number.last", "The answer is -5.", 5),
    ("number.last", "The answer is 50%.", 0.5),
    ("number.last", "The answer is 0.5.", "50%"),
    ("number.last", "The answer is 50 cents.", 0.5),
    ("number.last", "The answer is 5 million.", 5),
    ("number.last", "The answer is 1, 000.", 1000),
    ("number.last", "The answer is 1 000.", 1000),
    ("number.last", "The answer is 0.33.", "1/3"),
    ("number.last", "The answer is 1.", True),
    ("number.last", "The answer is 2^5.", 5),
    ("number.last", "nothing to see", 0),
    ("number.last", "nothing to see", ""),
    ("number.last", "nothing to see", "nothing to see"),
    ("number.boxed", "18", 18),
    ("choice.letter", "The answer is a dog.", "A"),
    ("choice.letter", "The answer is (A) or (B).", "A"),
    ("yesno.last", "I know.", "no"),
    ("yesno.last", "That is not true.", "yes"),
    ("yesno.last", "yes", 7),
    ("date.last", "May 1, 2024", "01/05/2024"),
    ("text.exact", "A b", "a b"),
    ("text.exact", "", ""),
    ("text.normalized", "C++", "C"),
    ("text.normalized", "-5", "5"),
    ("text.normalized", "3.5", "35"),
]


@pytest.mark.parametrize(("kind", "text", "gold"), NEVER)
def test_these_are_never_the_same(kind: AnswerKind, text: str, gold: str | float) -> None:
    assert not answer_matches(text, gold, AnswerSpec(kind=kind))


ALWAYS: list[tuple[AnswerKind, str, str | float]] = [
    ("number.last", "The answer is 50%.", "50%"),
    ("number.last", "The answer is 50%.", 50),
    ("number.last", "The answer is 0.6666666666666667.", 2 / 3),
    ("number.last", "The answer is 2/3.", 0.6666666666666666),
    ("number.last", "The answer is $1,200.00.", "1200"),
    ("number.last", "The answer is 18.", "so 6 * 3 = 18"),
    ("choice.letter", "The answer is (B).", "(b) train station"),
    ("choice.letter", "The answer is (B).", "B."),
    ("yesno.last", "It is so: yes", True),
    ("yesno.last", "It is so: yes", 1),
    ("date.last", "It is May 1, 2024.", "05/01/2024"),
    ("text.normalized", "The answer is (c) train station.", "a train station"),
]


@pytest.mark.parametrize(("kind", "text", "gold"), ALWAYS)
def test_these_are_always_the_same(kind: AnswerKind, text: str, gold: str | float) -> None:
    assert answer_matches(text, gold, AnswerSpec(kind=kind))
