"""Templates: places inside of strings, and that what passes the check renders."""

from __future__ import annotations

import subprocess
import sys

import pytest

from exgrpo_compiler.ast import Text
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.templates import _analyse, check_template
from exgrpo_compiler.value_types import NUMBER, TEXT, Type, list_of
from exgrpo_runtime.templates import TemplateSet

ITEM = Type(
    "record", fields=(("question", TEXT), ("gold", NUMBER), ("tags", list_of(TEXT))), title="a row of `rows`"
)


def make_text(value: str) -> Text:
    source = Source("t", value, "t")
    return Text(value, "raw", tuple(range(len(value) + 1)), Span(source, 0, len(value)))


def check(value: str) -> list[tuple[str, str]]:
    problems = Problems()
    check_template(make_text(value), {"item": ITEM}, problems, "the test")
    return [(found.id, value[found.span.start : found.span.end]) for found in problems.found]


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
        ("{{ item.question", "template-syntax", "{{"),
        ("{% for x in item.tags %}{{ x.y }}{% endfor %}", "unknown-field", "y"),
        ("{% set z = item.gold %}{{ z + item.question }}", "type-mismatch", "z + item.question"),
        ("{{ item.question is defined }}", "template-construct", "item.question is defined"),
        ("{{ item.question[0:2] }}", "template-construct", "item.question[0:2]"),
        ("{{ item.tags[0] }}", "template-construct", "item.tags[0]"),
        ("{{ item.question if item.gold }}", "template-construct", "item.question if item.gold"),
        ("{% macro m() %}{{ x }}{% endmacro %}", "template-construct", "macro"),
        ("{% do item %}", "template-construct", "do"),
        ("{% whle item %}", "template-syntax", "whle"),
        ("{% endif %}", "template-syntax", "endif"),
        ("{{ item.tags }}", "type-mismatch", "item.tags"),
        ("{{ item.gold | before('x') }}", "type-mismatch", "before"),
    ],
)
def test_a_mistake_is_reported_at_its_place(template: str, id_: str, place: str) -> None:
    assert check(template) == [(id_, place)]


def test_names_bound_in_a_branch_are_gone_after_it() -> None:
    assert check("{% if item.gold %}{% set z = 1 %}{{ z }}{% endif %}{{ z }}") == [("unknown-name", "z")]


def test_names_bound_in_every_branch_are_there_after_it() -> None:
    both = "{% if item.gold %}{% set z = 1 %}{% else %}{% set z = 2 %}{% endif %}{{ z + 1 }}"
    assert check(both) == []
    assert check(both.replace("z = 2", "z = 'a'")) == [("type-mismatch", "z")]


def test_all_mistakes_of_one_template_are_reported() -> None:
    found = check("{{ item.a }}{{ item.b | c }}{{ d }}")
    assert [id_ for id_, _ in found] == ["unknown-field", "unknown-field", "unknown-filter", "unknown-name"]


RIGHT = [
    "{{ item.question }}",
    "{{ item['question'] | strip | lower }}",
    "{% for tag in item.tags %}{{ loop.index }}: {{ tag }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}",
    "{% set n = item.gold * 2 - 1 %}{{ n }}{{ ' and more' if n > 3 else '' }}",
    "{{ item.question ~ item.gold }}",
    "{{ item.tags | first }}",
    "{% if item.question == 'x' or item.gold >= 3 and not item.gold < 2 %}{{ -item.gold }}{% endif %}",
    r"{% raw %}\frac{{a}}{b}{% endraw %}",
]


@pytest.mark.parametrize("template", RIGHT)
def test_what_passes_the_check_renders(template: str) -> None:
    assert check(template) == []
    item = {"question": "Why?", "gold": 4, "tags": ["a", "b"]}
    assert TemplateSet({"t": template}).render("t", item=item)


def test_a_text_is_analysed_once_for_the_types_of_its_names() -> None:
    text = "{{ item.question }} seen before"
    check(text)
    before = _analyse.cache_info()
    check(text)
    assert _analyse.cache_info().hits == before.hits + 1
    problems = Problems()
    check_template(make_text(text), {"item": NUMBER}, problems, "the test")
    assert [found.id for found in problems.found] == ["unknown-field"]


def test_checking_templates_needs_no_template_engine() -> None:
    code = """
import sys
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source

text = '''exg 1
dataset rows { source = jsonl("rows.jsonl"); split all = 100%; field question: text }
dialogue d(item: rows) { user = "{{ item.question }}"; assistant final }
'''
assert not check_spec(Source("s", text, "s"), lambda *_: None).diagnostics
assert "jinja2" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("template", "mended"),
    [
        (r"\frac{{a}}{b} {{ item.gold }}", r"{% raw %}\frac{{a}}{b}{% endraw %} {{ item.gold }}"),
        (r"x_{{2}} {{ item.gold }}", r"x{% raw %}_{{2}}{% endraw %} {{ item.gold }}"),
        (r"\sqrt{{a^2 + b}} {{ item.gold }}", r"{% raw %}\sqrt{{a^2 + b}}{% endraw %} {{ item.gold }}"),
        ("{{ itm.gold }}", "{{ item.gold }}"),
        ("{{ item.gld }}", "{{ item.gold }}"),
        ("{{ item.question | lowr }}", "{{ item.question | lower }}"),
    ],
)
def test_the_fix_of_a_mistake_mends_the_template(template: str, mended: str) -> None:
    problems = Problems()
    check_template(make_text(template), {"item": ITEM}, problems, "the test")
    (found,) = problems.found
    assert found.fix is not None
    (edit,) = found.fix.edits
    assert template[: edit.span.start] + edit.text + template[edit.span.end :] == mended
    assert check(mended) == []
