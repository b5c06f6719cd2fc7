"""The parser of templates against Jinja's own, and against the runtime that renders them.

Jinja is the oracle: a template that the compiler accepts is one that Jinja reads the same way, name by name, and one that the
runtime's sandbox renders for every row that conforms to the declared types.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import jinja2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import nodes

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.record import RecordType
from exgrpo_compiler.ast import Text
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.strings import decode_string
from exgrpo_compiler.template.nodes import Field, NameRead
from exgrpo_compiler.template.syntax import parse_template
from exgrpo_compiler.template.tokens import TemplateError
from exgrpo_compiler.templates import check_template
from exgrpo_compiler.value_types import BOOL, INT, NUMBER, TEXT, Type, list_of
from exgrpo_runtime.templates import TemplateSet

LEVEL = Type("choice", options=("easy", "hard"))
ITEM = Type(
    "record",
    fields=(
        ("question", TEXT),
        ("gold", NUMBER),
        ("tags", list_of(TEXT)),
        ("sizes", list_of(INT)),
        ("level", LEVEL),
        ("done", BOOL),
    ),
    title="a row of `rows`",
)
PIECES = [
    "plain text ",
    "{{ NAME }}",
    "{{- NAME -}}",
    "{{+ NAME }}",
    "{{ NAME | lower }}",
    "{{ NAME.field | before('x') }} ",
    "{% if NAME %}yes {% else %}no{% endif %}",
    "{%- if NAME == 3 -%}yes{%- elif NAME < 4 +%} b {% endif %}",
    "{%- for x in NAME -%}  {{ x }}{{ loop.index }} {% endfor %}",
    "{# a comment with NAME #}",
    "{#- NAME -#}",
    "{% raw %}{{ not a NAME }}{% endraw %}",
    "{%- raw -%} {{ NAME }} {%- endraw -%}",
    "{% set y = NAME + 1 %}\n",
    "\n\n   ",
    "\r\n\t",
    "é€😀 { { } } %",
    "{{ 'text with }} in it' ~ NAME }}",
    "{{ (NAME if NAME else NAME) }}",
    "{{ -NAME | round(1) }}{{ [NAME, 'a', 2.5e3] | first }}",
    "{{ NAME.a['b'].c | shuffle(seed=3) }}",
    "{{ not NAME or NAME and NAME not in NAME }}",
    "{{ 1 + NAME * 2 ~ NAME - 3 / NAME }}",
]
EXPRESSIONS = [
    "item.question",
    "item.gold",
    "item['level']",
    "item.done",
    "item.tags",
    "item.sizes",
    "item . gold",
    "x",
    "loop.index",
    "loop.last",
    "'a\\'b'",
    '"é"',
    "3",
    "2.5",
    "true",
    "-item.gold",
    "(item.gold + 1)",
    "item.gold * 2 - 1",
    "item.question ~ item.gold",
    "item.question + 'x'",
    "item.gold > 3 and not item.done",
    "item.gold > 3 or item.level == 'easy'",
    "item.question in item.tags",
    "'a' not in item.question",
    "item.question | lower | strip",
    "item.question | words + 1",
    "item.tags | first",
    "item.sizes | last",
    "item.gold | round",
    "item.gold | round(digits=1)",
    "item.tags | shuffle(3)",
    "item.question | lines - 1",
    "(item.question if item.done else item.level)",
    "declassify(item.gold, reason='shown on purpose')",
    "item.gold | declassify('shown on purpose')",
    "item.missing",
    "item.tags[0]",
    "item.question is defined",
]
STATEMENTS = [
    "{{ E }}",
    "{{- E -}}",
    "{% set x = E %}",
    "{% if E %}B{% endif %}",
    "{% if E %}B{% else %}B{% endif %}",
    "{% if E %}B{% elif E %}B{% endif %}",
    "{% for x in E %}B{% endfor %}",
    "{% for y in E if E %}B{{ loop.index }}{% else %}B{% endfor %}",
    "{% raw %}{{ E }}{% endraw %}",
    "{# E #}",
    " text ",
]


def make_text(value: str) -> Text:
    source = Source("t", value, "t")
    return Text(value, "raw", tuple(range(len(value) + 1)), Span(source, 0, len(value)))


def find_nodes(node: Any, kind: type) -> list[Any]:
    """Every node of a kind, in the order in which they are written."""
    if isinstance(node, tuple):
        return [found for part in node for found in find_nodes(part, kind)]
    if not isinstance(type(node), RecordType):
        return []
    own = [node] if isinstance(node, kind) else []
    parts = [getattr(node, name) for name in type(node).record_fields]
    return sorted([*own, *find_nodes(tuple(parts), kind)], key=lambda found: found.start)


def build_text(rng: random.Random) -> str:
    names = ["a", "item", "long_name"]
    return "".join(rng.choice(PIECES).replace("NAME", rng.choice(names)) for _ in range(rng.randint(1, 8)))


@pytest.mark.parametrize("seed", range(20))
def test_every_name_of_a_random_template_is_where_it_says_and_jinja_reads_the_same_names(seed: int) -> None:
    rng = random.Random(seed)
    count = 0
    for _ in range(50):
        text = build_text(rng)
        found = find_nodes(parse_template(text).body, NameRead)
        assert all(text[node.start : node.end] == node.name for node in found)
        read = [
            node.name for node in jinja2.Environment().parse(text).find_all(nodes.Name) if node.ctx == "load"
        ]
        assert sorted(read) == sorted(node.name for node in found)
        count += len(found)
    assert count > 100


@pytest.mark.parametrize("seed", range(20))
def test_places_hold_in_the_source_of_every_kind_of_string(seed: int) -> None:
    """Raw blocks with a margin, and quoted strings with escapes, whose characters are not where the value has them."""
    rng = random.Random(seed)
    count = 0
    for _ in range(30):
        value = build_text(rng).replace("\r", "")
        block = '"""\n' + "".join(f"    {line}\n" for line in value.split("\n")) + '    """'
        quoted = (
            '"'
            + "".join(
                f"\\u{{{ord(char):x}}}"
                if rng.random() < 0.3 and char not in "{}%#"
                else {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}.get(char, char)
                for char in value
            )
            + '"'
        )
        for terminal, written in (("BLOCK_STRING", block), ("STRING", quoted)):
            text = decode_string(
                Source("s", written, "s"), terminal, Span(Source("s", written, "s"), 0, len(written))
            ).text
            for node in find_nodes(parse_template(text.value).body, NameRead):
                first, last = text.offsets[node.start], text.offsets[node.end]
                shown = decode_string(
                    Source("s", f'"{written[first:last]}"', "s"),
                    "STRING",
                    Span(Source("s", f'"{written[first:last]}"', "s"), 0, last - first + 2),
                ).text.value
                assert shown == node.name
                count += 1
    assert count > 50


@st.composite
def templates(draw: st.DrawFn, depth: int = 3) -> str:
    parts: list[str] = []
    for _ in range(draw(st.integers(0, 3))):
        statement = draw(st.sampled_from(STATEMENTS))
        while "E" in statement.replace("ELSE", ""):
            statement = statement.replace("E", draw(st.sampled_from(EXPRESSIONS)).replace("E", ""), 1)
        while "B" in statement:
            inner = draw(templates(depth=depth - 1)) if depth else "y"
            statement = statement.replace("B", inner.replace("B", ""), 1)
        parts.append(statement)
    return "".join(parts)


ITEMS = st.fixed_dictionaries(
    {
        "question": st.text(max_size=6),
        "gold": st.integers(-5, 5) | st.floats(-5, 5),
        "tags": st.lists(st.text(max_size=3), max_size=3),
        "sizes": st.lists(st.integers(-3, 3), max_size=3),
        "level": st.sampled_from(LEVEL.options),
        "done": st.booleans(),
    }
)


class RowError(Exception):
    """A row that a right template cannot be rendered for; the runtime counts it with its reason."""


def render(text: str, item: dict[str, object]) -> str:
    """Renders as a run does. Data may be to blame: an empty list has no first element, a number may be 0."""
    try:
        return TemplateSet({"t": text}).render("t", item=item)
    except ArtifactError as error:
        blame = ("a value that it prints is missing", "filter `", "division by zero")
        if any(words in str(error) for words in blame):
            raise RowError from error
        raise


@settings(max_examples=400, deadline=None)
@given(templates(), ITEMS)
@example(
    "{{ item.gold if item.done }}",
    {"question": "", "gold": 1, "tags": [], "sizes": [], "level": "easy", "done": False},
)
def test_what_passes_the_check_renders_for_every_conforming_row(text: str, item: dict[str, object]) -> None:
    problems = Problems()
    if check_template(make_text(text), {"item": ITEM}, problems, "the test") is None:
        assert problems.found
        return
    jinja2.Environment().parse(text)
    with suppress(RowError):
        render(text, item)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}%#-+ \nraw()[]|.,'\"ifelsnot=x1~", max_size=60))
def test_any_text_is_a_template_or_a_mistake_with_a_place(text: str) -> None:
    at = None
    try:
        parsed = parse_template(text)
    except TemplateError as error:
        at = error.at
    if at is not None:
        assert 0 <= at <= len(text)
        return
    if not parsed.refusals:
        jinja2.Environment().parse(text)
    for node in find_nodes(parsed.body, Field):
        assert text.startswith(node.name, node.at)


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 500,
        "{{ " + "-" * 350 + "1 }}",
        "{% if x %}" * 400,
        "{{ " + "a ~ " * 5000 + "b }}",
        "{{ " + "[" * 99 + "]" * 99 + " }}",
    ],
)
def test_depth_and_length_are_mistakes_and_never_exceptions(text: str) -> None:
    problems = Problems()
    check_template(make_text(text), {"a": TEXT, "b": TEXT, "x": BOOL}, problems, "the test")
    assert problems.found[0].id in ("template-syntax", "type-mismatch", "too-deep")
