"""Forms of regular expressions: texts from which a pattern reads what is put into them."""

from __future__ import annotations

import pytest

from exgrpo_artifact.answers import extract_answer
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_compiler.prove.regex_forms import MOST_FORMS, write_forms


@pytest.mark.parametrize(
    ("pattern", "forms"),
    [
        (r"Final: (\d+)!", ("Final: {0}!",)),
        (r"(?:Answer|Final): \((?:option )?([A-D])\)", ("Answer: ({0})", "Final: ({0})")),
        (r"\[\[(?:choice\s*=\s*)?([a-z]+)\]\]", ("[[{0}]]",)),
        (r"(?:(?:so|thus),? )?it is <(?:b|strong)>(\w+)</", ("it is <b>{0}</", "it is <strong>{0}</")),
        (r"\{(\d+)\}", ("{{{0}}}",)),
        (r"^#{3,4}\s+(\S+)$", ("### {0}",)),
        (r"<think>.*</think>(?:\s*)<a>(\d+)</a>", ("<think>{0}</think><a>{0}</a>",)),
        (r"x{2}[:=] ?(\d+)", ("xx:{0}",)),
        (r"\d+", ()),  # the whole match is the answer, and no form is left
        (r"(\d+", ()),
    ],
)
def test_a_form_is_the_pattern_with_its_group_left_open(pattern: str, forms: tuple[str, ...]) -> None:
    assert write_forms(pattern) == forms


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?i)(?:final answer|result)\s*(?:is|[:=])\s*\(?([A-D])\)?",
        r"(?:\*\*)?Answer(?:\*\*)?: ([A-D])\b",
        r"(?:[A-Za-z]+ ){2}\[(?:x|y)?([A-D])\]",
        r"((?:A|B)|(?:C|D))\.$",
    ],
)
def test_an_answer_is_read_from_every_form(pattern: str) -> None:
    spec = AnswerSpec(kind="regex", pattern=pattern)
    forms = write_forms(pattern)
    assert 0 < len(forms) <= MOST_FORMS
    assert [extract_answer(form.format("B"), spec) for form in forms] == ["B"] * len(forms)


def test_a_pattern_with_many_choices_gives_few_forms_soon() -> None:
    assert len(write_forms("(?:a|b|c|d)" * 40 + "(x)")) <= MOST_FORMS
