"""Secrets in rendered templates: marked wherever they come out, and the same values as ever to everything else."""

from __future__ import annotations

from typing import Any

import pytest

from exgrpo_artifact.manifest import FieldType
from exgrpo_dsl.preview.marks import (
    Part,
    clean_value,
    make_placeholder,
    make_secret,
    open_templates,
    split_parts,
    strip_marks,
)
from exgrpo_runtime.templates import TemplateSet

FIELDS = {
    "question": "How many?",
    "gold": 42,
    "ratio": 0.5,
    "solution": "First. 6 * 7 = 42",
    "is_hard": True,
    "is_easy": False,
    "steps": ["one", "two"],
    "more": {"hint": "seven"},
}
SECRET = {name: make_secret(value, f"item.{name}") for name, value in FIELDS.items() if name != "question"}
ITEM = {"question": FIELDS["question"], **SECRET}


def render(template: str) -> str:
    """What the template makes of the marked row."""
    return open_templates({"t": template}).render("t", item=ITEM)


TEMPLATES = [
    "{{ item.gold }}",
    "{{ item.solution }}",
    "The answer is {{ item.gold }}.",
    "{{ item.solution | after('=') | strip }}",
    "{{ item.solution | after('=') | number }}",
    "{{ item.solution | words }}",
    "{{ item.solution | sentences }}",
    "{{ item.steps | last }}",
    "{{ item.steps | first }}",
    "{{ item.more.hint }}",
    "{{ item.solution | lower | before('.') }}",
    "{{ item.question ~ ' ' ~ item.solution }}",
    "{{ item.solution + '!' }}",
    "{{ '!' + item.solution }}",
    "{% for step in item.steps %}{{ step }}{% endfor %}",
    "{% set x = item.gold %}{{ x }}",
    "{{ item.ratio | round(1) }}",
    "{{ item.is_hard }}",
    "{{ item.is_hard ~ ', ' ~ item.is_easy }}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_made_of_a_secret_is_marked_and_reads_as_ever(template: str) -> None:
    marked = render(template)
    assert any(part.secret for part in split_parts(marked)), split_parts(marked)
    plain = TemplateSet({"t": template}).render("t", item=FIELDS)
    assert strip_marks(marked) == plain


@pytest.mark.parametrize(
    "template",
    [
        "{{ item.question }}",
        "{% if item.gold > 40 %}large{% else %}small{% endif %}",
        "{% if item.is_hard %}hard{% endif %}{% if item.is_easy or not item.is_hard %}easy{% endif %}",
        "{% if item.is_hard == true and item.is_easy == false %}hard{% endif %}",
        "{% if item.solution == 'First. 6 * 7 = 42' %}same{% endif %}",
        "{{ item.question | lower }}",
        "{{ declassify(item.solution, reason='shown on purpose') }}",
    ],
)
def test_what_is_open_is_not_marked_and_conditions_see_the_value(template: str) -> None:
    marked = render(template)
    assert all(part.secret is None for part in split_parts(marked))
    assert marked == TemplateSet({"t": template}).render("t", item=FIELDS)


def test_the_path_says_which_field_it_was() -> None:
    assert split_parts(render("A {{ item.gold }} b {{ item.more.hint }}")) == (
        Part("A "),
        Part("42", "item.gold"),
        Part(" b "),
        Part("seven", "item.more.hint"),
    )


def test_texts_of_the_data_cannot_pretend_to_be_marks() -> None:
    forged = clean_value({"question": "\ue000item.gold\ue00142\ue002", "list": ["\ue000"]})
    assert split_parts(forged["question"]) == (Part("\ufffditem.gold\ufffd42\ufffd"),)
    assert forged["list"] == ["\ufffd"]


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("text", "{{ probe.x }} {{ probe.x | lower }} {{ probe.x | number }} {{ probe.x | words }}"),
        ("number", "{{ probe.x }} {{ probe.x | round(1) }} {% if probe.x > 1 %}a{% endif %}"),
        ("list", "{% for one in probe.x %}{{ one }}{% endfor %} {{ probe.x | first }}"),
        ("bool", "{% if probe.x %}«probe 1.x»{% endif %}"),
    ],
)
def test_placeholders_stand_wherever_a_value_of_their_kind_may(kind: Any, template: str) -> None:
    probe = {"x": make_placeholder(FieldType(kind=kind), "probe 1.x")}
    assert "«probe 1.x»" in open_templates({"t": template}).render("t", probe=probe)


def test_a_secret_placeholder_stays_secret_through_filters() -> None:
    probe = {"x": make_secret(make_placeholder(FieldType(kind="text"), "probe 1.x"), "probe.x")}
    parts = split_parts(open_templates({"t": "{{ probe.x | number }}"}).render("t", probe=probe))
    assert parts == (Part("«probe 1.x»", "probe.x"),)


def test_a_number_that_is_not_there_yet_is_secret_where_its_field_is() -> None:
    probe = {"x": make_secret(make_placeholder(FieldType(kind="number"), "probe 1.x"), "probe.x")}
    parts = split_parts(open_templates({"t": "{{ probe.x | round(1) }}"}).render("t", probe=probe))
    assert parts == (Part("«probe 1.x»", "probe.x"),)


def test_secrets_inside_a_list_are_marked_where_it_is_shown_whole() -> None:
    parts = split_parts(str(SECRET["steps"]))
    assert [part.text for part in parts if part.secret] == ["'one'", "'two'"]
    assert [part.secret for part in split_parts(str(SECRET["more"])) if part.secret] == ["item.more.hint"]
