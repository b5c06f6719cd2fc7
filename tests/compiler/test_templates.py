"""Templates: places inside of strings, and that what passes the check renders."""

from __future__ import annotations

import random

import jinja2
import pytest
from jinja2 import nodes

from exgrpo_compiler.ast import Text
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.template_syntax import parse_template
from exgrpo_compiler.templates import check_template
from exgrpo_compiler.value_types import NUMBER, TEXT, Type, list_of

ITEM = Type(
    "record", fields=(("question", TEXT), ("gold", NUMBER), ("tags", list_of(TEXT))), title="a row of `rows`"
)

PIECES = [
    "plain text ",
    "{{ NAME }}",
    "{{- NAME -}}",
    "{{ NAME | lower }}",
    "{{ NAME.field | before('x') }} ",
    "{% if NAME %}yes {% else %}no{% endif %}",
    "{%- for x in NAME -%}  {{ x }} {% endfor %}",
    "{# a comment with NAME #}",
    "{% raw %}{{ not a NAME }}{% endraw %}",
    "{% set y = NAME + 1 %}\n",
    "\n\n   ",
    "é€😀 { { } } %",
    "{{ 'text with }} in it' ~ NAME }}",
    "{{ (NAME if NAME else NAME) }}",
]


def make_text(value: str) -> Text:
    source = Source("t", value, "t")
    return Text(value, "raw", tuple(range(len(value) + 1)), Span(source, 0, len(value)))


def check(value: str) -> list[tuple[str, str]]:
    problems = Problems()
    check_template(make_text(value), {"item": ITEM}, problems, "the test")
    return [(found.id, value[found.span.start : found.span.end]) for found in problems.found]


@pytest.mark.parametrize("seed", range(20))
def test_every_name_in_a_random_template_is_where_it_says(seed: int) -> None:
    rng = random.Random(seed)
    names = 0
    for _ in range(50):
        pieces = [
            rng.choice(PIECES).replace("NAME", rng.choice(["a", "item", "long_name"]))
            for _ in range(rng.randint(1, 8))
        ]
        text = "".join(pieces)
        for node in parse_template(text).find_all(nodes.Name):
            assert text.startswith(node.name, node.lineno)
            names += 1
    assert names > 100


@pytest.mark.parametrize(
    ("template", "id_", "place"),
    [
        ("ab {{ item.qestion }}", "unknown-field", "qestion"),
        ("{{ item . gild | lower }}", "unknown-field", "gild"),
        ('{{ item["gild"] }}', "unknown-field", "gild"),
        ("{%- if itm -%} x {% endif %}", "unknown-name", "itm"),
        ("é€😀{{ rule }}", "unknown-name", "rule"),
        ("{{ item.question | lowr }}", "unknown-filter", "lowr"),
        ("{{ item.gold.x }}", "unknown-field", "x"),
        ("{{ item.question", "template-syntax", ""),
        ("{% for x in item.tags %}{{ x.y }}{% endfor %}", "unknown-field", "y"),
        ("{% set z = item.gold %}{{ z + item.question }}", "type-mismatch", "z"),
        ("{{ item.question is defined }}", "template-construct", "item"),
        ("{{ item.question[0:2] }}", "template-construct", "["),
        ("{% macro m() %}{% endmacro %}", "template-construct", "m"),
        ("{% do item %}", "template-syntax", "d"),
        ("{{ item.tags }}", "type-mismatch", "item"),
        ("{{ item.gold | before('x') }}", "type-mismatch", "before"),
    ],
)
def test_a_mistake_is_reported_at_its_place(template: str, id_: str, place: str) -> None:
    assert check(template) == [(id_, place)]


def test_names_bound_in_a_branch_are_gone_after_it() -> None:
    assert check("{% if item.gold %}{% set z = 1 %}{{ z }}{% endif %}{{ z }}") == [("unknown-name", "z")]


def test_all_mistakes_of_one_template_are_reported() -> None:
    found = check("{{ item.a }}{{ item.b | c }}{{ d }}")
    assert [id_ for id_, _ in found] == ["unknown-field", "unknown-field", "unknown-filter", "unknown-name"]


RIGHT = [
    "{{ item.question }}",
    "{{ item['question'] | strip | lower }}",
    "{% for tag in item.tags %}{{ loop.index }}: {{ tag }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}",
    "{% set n = item.gold * 2 - 1 %}{{ n }}{{ ' and more' if n > 3 else '' }}",
    "{{ item.question ~ item.gold }}",
    "{{ item.tags | first }}{{ item.tags[0] }}",
    "{% if item.question == 'x' or item.gold >= 3 and not item.gold < 2 %}{{ -item.gold }}{% endif %}",
    r"{% raw %}\frac{{a}}{b}{% endraw %}",
]


@pytest.mark.parametrize("template", RIGHT)
def test_what_passes_the_check_renders(template: str) -> None:
    assert check(template) == []
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters |= {"strip": str.strip, "before": lambda text, mark: text.partition(mark)[0]}
    item = {"question": "Why?", "gold": 4, "tags": ["a", "b"]}
    assert environment.from_string(template).render(item=item)
