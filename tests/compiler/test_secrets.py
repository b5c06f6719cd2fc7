"""The flow of secrets: against a computation that knows nothing of the compiler, and against what templates really print."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from exgrpo_artifact.manifest import Manifest
from exgrpo_artifact.validation import validate_json
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.templates import check_template
from tests.compiler.test_template_syntax import ITEM, ITEMS, RowError, make_text, render, templates
from tests.support.compiling import check, compile_files, show

FIELDS = ("a", "b", "c")
YIELDS = ("y", "z")


class Use(NamedTuple):
    """How a template uses a field of the row or of a probe."""

    how: str
    name: str


class Case(NamedTuple):
    """A small program. Fields map one column each; a cleared one stands in `declassify`."""

    secret: dict[str, bool]
    columns: dict[str, str]
    cleared: dict[str, bool]
    prompt: list[Use]
    open: dict[str, bool]
    system: list[Use]
    asked: list[Use]
    final: list[Use]


def uses(names: tuple[str, ...]) -> st.SearchStrategy[list[Use]]:
    hows = st.sampled_from(["shown", "piped", "kept", "decides", "empty", "declassified", "unused"])
    return st.lists(st.builds(Use, hows, st.sampled_from(names)), max_size=3)


def each(names: tuple[str, ...], values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(dict.fromkeys(names, values))


CASES = st.builds(
    Case,
    each(FIELDS, st.booleans()),
    each(FIELDS, st.sampled_from(["left", "middle", "right"])),
    each(FIELDS, st.booleans()),
    uses(FIELDS),
    each(YIELDS, st.booleans()),
    uses(FIELDS),
    uses(FIELDS + YIELDS),
    uses(FIELDS),
)

PATTERNS = {
    "shown": "{{ X }}",
    "piped": "{{ 'is ' ~ (X | strip | lower) }}",
    "kept": "{% set kept = X %}{{ kept }}",
    "decides": "{% if X == 'x' %}yes{% endif %}",
    "empty": "{% if X == 'x' %}{% endif %}",
    "declassified": "{{ declassify(X, reason='a test') }}",
    "unused": "{# X #}",
}


def write(used: list[Use]) -> str:
    parts = [
        PATTERNS[how].replace("X", f"{'probe' if name in YIELDS else 'item'}.{name}") for how, name in used
    ]
    return f'"start {" ".join(parts)}"'


def write_spec(case: Case) -> str:
    fields = []
    for name in FIELDS:
        value = f"row.{case.columns[name]}"
        if case.cleared[name]:
            value = f'declassify({value}, reason: "a test")'
        fields.append(f"  {'secret ' if case.secret[name] else ''}field {name}: text = {value}")
    shown = ", ".join(f"{'open ' if case.open[name] else ''}{name}: text" for name in YIELDS)
    return "\n".join(
        [
            "exg 1",
            'dataset rows { source = jsonl("rows.jsonl"); split train = 100%',
            *fields,
            "}",
            'model tutor = plugin("word-problem-tutor")',
            'rule why(secret a: text) { instruction = "Ask why." }',
            f"probes ask(item: rows) {{ rules = [why]; teacher = tutor; prompt = {write(case.prompt)}",
            f"  yields {{ {shown} }} }}",
            "dialogue d(item: rows, probes: ask) {",
            f"  system = {write(case.system)}",
            f"  for probe in probes {{ user = {write(case.asked)}; assistant explain }}",
            f"  user = {write(case.final)}; assistant final",
            "}",
        ]
    )


def find_leaking_messages(case: Case) -> set[str]:
    """What must be reported, from the program's own description: sets of secret names, and nothing else."""
    secret_columns = {case.columns[name] for name in FIELDS if case.secret[name]}
    secrets = {
        name
        for name in FIELDS
        if case.secret[name] or (case.columns[name] in secret_columns and not case.cleared[name])
    }
    carries = {"shown", "piped", "kept", "decides"}
    if any(use.how in carries and use.name in secrets for use in case.prompt):
        secrets |= {name for name in YIELDS if not case.open[name]}
    messages = {"the system message": case.system, "`explain`": case.asked, "`final`": case.final}
    return {
        title
        for title, used in messages.items()
        if any(use.how in carries and use.name in secrets for use in used)
    }


@settings(max_examples=250, deadline=None)
@given(CASES)
def test_the_messages_reported_are_those_that_leak(case: Case) -> None:
    text = write_spec(case)
    found = check(text)
    assert not {item.id for item in found} - {"secret-leak", "needless-declassify", "unused-parameter"}, text
    titles = ("the system message", "`explain`", "`final`")
    leaks = [item for item in found if item.id == "secret-leak"]
    reported = {next(title for title in titles if title in item.message) for item in leaks}
    assert reported == find_leaking_messages(case), f"{text}\n{show(found)}"
    for item in leaks:
        numbers = [label.text.split(".")[0] for label in item.labels]
        assert numbers == [str(index + 1) for index in range(len(numbers))]
        assert item.labels[-1].span == item.span


@settings(max_examples=300, deadline=None)
@given(templates(), ITEMS, ITEMS)
def test_what_reaches_no_output_cannot_change_it(
    text: str, item: dict[str, object], other: dict[str, object]
) -> None:
    """Noninterference: a field that is not among a template's reads has no influence on what the template prints."""
    problems = Problems()
    analysis = check_template(make_text(text), {"item": ITEM}, problems, "the test")
    if analysis is None:
        return
    reads = {read.attribute for part in (analysis, *analysis.clearances) for read in part.reads}
    changed = {name: item[name] if name in reads else other[name] for name in item}
    with suppress(RowError):
        assert render(text, item) == render(text, changed), reads


DECLASSIFIED = """exg 1
dataset rows {
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text = declassify(row.text | before("A:"), reason: "the answer follows the mark")
  secret field gold: number = row.text | after("A:") | number
}
model student = scratch { layers = 1; width = 16; heads = 2; vocab = 300 }
dialogue d(item: rows) {
  system = "{{ declassify(item.gold > 9, reason='its size is public') }}"
  user = "{{ item.question }}"
  assistant final = "{{ item.gold }}"
}
task t { data = rows; student = student; stage warmup = sft(d) }
"""


def test_each_declassify_stands_in_the_manifest_with_its_reason() -> None:
    files = compile_files(DECLASSIFIED)
    manifest = validate_json(Manifest, files["manifest.json"])
    assert [(item.where, item.what, item.reason) for item in manifest.declassified] == [
        ("field `question` of dataset `rows`", 'row.text | before("A:")', "the answer follows the mark"),
        ("the system message of dialogue `d`", "item.gold > 9", "its size is public"),
    ]


def test_declassify_is_the_value_itself_at_run_time() -> None:
    from exgrpo_artifact.evaluate import evaluate_graph

    manifest = validate_json(Manifest, compile_files(DECLASSIFIED)["manifest.json"])
    (graph,) = [field.value for field in manifest.datasets["rows"].fields if field.name == "question"]
    assert evaluate_graph(graph, row={"text": "Why? A: 4"}) == "Why? "


def test_a_yielded_field_can_be_declared_open_by_the_fix() -> None:
    text = write_spec(
        Case(
            {"a": True, "b": False, "c": False},
            {"a": "left", "b": "middle", "c": "right"},
            dict.fromkeys(FIELDS, False),
            [Use("shown", "a")],
            {"y": False, "z": False},
            [],
            [Use("shown", "z")],
            [Use("shown", "b")],
        )
    )
    (leak,) = [item for item in check(text) if item.id == "secret-leak"]
    assert leak.fix is not None
    (edit,) = leak.fix.edits
    mended = text[: edit.span.start] + edit.text + text[edit.span.end :]
    assert "y: text, open z: text" in mended
    assert not check(mended)
