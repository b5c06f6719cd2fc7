from __future__ import annotations

from typing import Any

import pytest

from exgrpo_artifact.errors import ArtifactError
from exgrpo_runtime.templates import MAX_CHARACTERS, TemplateSet


def render(text: str, **values: Any) -> str:
    return TemplateSet({"t.jinja": text}).render("t.jinja", **values)


def test_fields_are_rendered_and_one_final_newline_is_dropped() -> None:
    assert render("{{ item.question }} {{ item.gold }}\n", item={"question": "Why?", "gold": 72}) == "Why? 72"


def test_latex_and_markup_survive() -> None:
    assert render(r"\frac{1}{2} <b> {{ x }}", x="a & b < c") == r"\frac{1}{2} <b> a & b < c"


@pytest.mark.parametrize("name", ["items", "keys", "values", "get", "copy", "pop"])
def test_a_field_named_like_a_method_is_the_field(name: str) -> None:
    assert render(f"{{{{ item.{name} }}}}", item={name: "mine"}) == "mine"
    with pytest.raises(ArtifactError, match=r"t\.jinja cannot be rendered"):
        render(f"{{{{ item.{name} }}}}", item={"other": "x"})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{{ absent }}", {}),
        ("{{ item.absent }}", {"item": {}}),
        ("{% if absent %}x{% endif %}", {}),
        ("{{ item.gold }}", {"item": {"gold": None}}),
        ("{{ question | before('####') }}", {"question": "no mark"}),
        ("{{ 1 / 0 }}", {}),
    ],
)
def test_a_gap_is_an_error_and_never_an_empty_text(text: str, values: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"t\.jinja cannot be rendered"):
        render(text, **values)


def test_pipes_mean_what_they_mean_in_field_mappings() -> None:
    assert render("{{ a | after('####') | strip }}", a="x #### 72 ") == "72"
    # In Jinja, `round` gives 2.0 here.
    assert render("{{ x | round }}", x=2.5) == "3"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ item.__class__ }}",
        "{{ names.append(1) }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
    ],
)
def test_the_sandbox_holds(text: str) -> None:
    with pytest.raises(ArtifactError):
        render(text, item={}, names=[1])


def test_a_runaway_template_ends() -> None:
    with pytest.raises(ArtifactError, match=f"longer than {MAX_CHARACTERS}"):
        render("{% for i in range(5000) %}{{ x }}{% endfor %}", x="y" * 1000)


def test_a_template_that_is_not_there_or_is_malformed_is_told() -> None:
    with pytest.raises(ArtifactError, match=r"no template other.jinja"):
        TemplateSet({}).render("other.jinja")
    with pytest.raises(ArtifactError, match=r"t.jinja is malformed"):
        render("{% if %}")
