"""What the parser makes of well-formed text: shapes, precedence, spans, documentation."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import lark
import pytest

from exgrpo_compiler import ast
from exgrpo_compiler.ast import Decl, Expr, SpecFile
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.parse import parse_expression, parse_spec
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.terminals import read_grammar


def parse_text(text: str) -> SpecFile:
    outcome = parse_spec(Source("spec.exg", text, "spec"))
    assert outcome.diagnostics == ()
    assert outcome.value is not None
    return outcome.value


def parse_decl(text: str) -> Decl:
    (decl,) = parse_text(f"exg 1\n{text}").decls
    return decl


def read_expression(text: str) -> Expr:
    outcome = parse_expression(Source("set", text, "set"))
    assert outcome.diagnostics == ()
    assert outcome.value is not None
    return outcome.value


def report_all(text: str) -> tuple[Diagnostic, ...]:
    return parse_spec(Source("spec.exg", text, "spec")).diagnostics


def show(value: Any) -> Any:
    """An expression as nested tuples without spans."""
    match value:
        case ast.Number():
            return value.text
        case ast.Bool():
            return value.value
        case ast.Text():
            return repr(value.value)
        case ast.Ref():
            return value.name
        case ast.Attribute():
            return f"{show(value.value)}.{value.name.text}"
        case ast.Call():
            shown = [show(argument) for argument in value.arguments]
            shown += [("where", show(value.where))] if value.where is not None else []
            shown += [("else", show(value.otherwise))] if value.otherwise is not None else []
            return (show(value.function), *shown)
        case ast.Argument():
            return show(value.value) if value.name is None else (f"{value.name.text}:", show(value.value))
        case ast.Pipe():
            return ("|", show(value.value), show(value.function), *map(show, value.arguments))
        case ast.Unary():
            return (value.op, show(value.value))
        case ast.Binary():
            return (value.op, show(value.left), show(value.right))
        case ast.Compare():
            return ("compare", *map(show, value.operands), value.ops)
        case ast.Conditional():
            return ("if", show(value.condition), show(value.then), show(value.otherwise))
        case ast.Default():
            return ("default", show(value.value), show(value.otherwise))
        case ast.Range():
            return ("..", show(value.low), show(value.high))
        case ast.ListExpr():
            return [show(item) for item in value.items]
        case ast.Record():
            entries = {entry.key.text: show(entry.value) for entry in value.entries}
            return entries if value.tag is None else (show(value.tag), entries)
        case ast.Configured():
            return (show(value.value), "block", len(value.block.statements))
    raise AssertionError(value)


# --- the grammar


def test_the_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(read_grammar(), parser="lalr", lexer="basic", start=["file", "expression"], debug=True)
    assert [record.message for record in caplog.records if "onflict" in record.message] == []


def test_the_listener_above_would_hear_a_conflict(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark('start: e\ne: e "+" e | "1"', parser="lalr", debug=True)
    assert any("onflict" in record.message for record in caplog.records)


def find_reference() -> Path:
    data = Path(os.environ.get("EXGRPO_TEST_DATA", "../shared/data"))
    return data.parent / "reference" / "language.md"


@pytest.mark.parametrize("number", [0, 1])
def test_the_specs_of_the_language_reference_parse(number: int) -> None:
    path = find_reference()
    if not path.exists():
        pytest.skip("the language reference is not at hand; EXGRPO_TEST_DATA names the folder beside it")
    blocks = re.findall(r"```exg\n(exg 1\n.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    spec = parse_text(blocks[number])
    assert len(spec.decls) > 5


# --- precedence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", ("add", "a", ("mul", "b", "c"))),
        ("a - b - c", ("sub", ("sub", "a", "b"), "c")),
        ("a / b * c", ("mul", ("div", "a", "b"), "c")),
        ("-a * b", ("mul", ("neg", "a"), "b")),
        ("- -a", ("neg", ("neg", "a"))),
        ("-x | abs", ("|", ("neg", "x"), "abs")),
        ("a + b | f", ("add", "a", ("|", "b", "f"))),
        ("a | f(1) | g.h", ("|", ("|", "a", "f", "1"), "g.h")),
        ("(a + b) * c", ("mul", ("add", "a", "b"), "c")),
        ("a + 1..b * 2", ("..", ("add", "a", "1"), ("mul", "b", "2"))),
        ("0..1.5", ("..", "0", "1.5")),
        ("0.5..1", ("..", "0.5", "1")),
        ("a..b == c", ("compare", ("..", "a", "b"), "c", ("eq",))),
        ("1 <= a < b", ("compare", "1", "a", "b", ("le", "lt"))),
        ("a != b", ("compare", "a", "b", ("ne",))),
        ("a >= b > c", ("compare", "a", "b", "c", ("ge", "gt"))),
        ("not a == b", ("not", ("compare", "a", "b", ("eq",)))),
        ("not a and b", ("and", ("not", "a"), "b")),
        ("a or b and c", ("or", "a", ("and", "b", "c"))),
        ("a or b or c", ("or", ("or", "a", "b"), "c")),
        ("a if b or c else d", ("if", ("or", "b", "c"), "a", "d")),
        ("a if b else c if d else e", ("if", "b", "a", ("if", "d", "c", "e"))),
        ("a if b else c else d", ("default", ("if", "b", "a", "c"), "d")),
        ("a / 4 else 0", ("default", ("div", "a", "4"), "0")),
        ("a else b else c", ("default", "a", ("default", "b", "c"))),
        ("a + b if c else d", ("if", "c", ("add", "a", "b"), "d")),
    ],
)
def test_precedence(text: str, expected: Any) -> None:
    assert show(read_expression(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f()", ("f",)),
        ("f(a, b: 1,)", ("f", "a", ("b:", "1"))),
        ("judge.score(d.x, by: m)", ("judge.score", "d.x", ("by:", "m"))),
        ("mean(x where a == 1)", ("mean", "x", ("where", ("compare", "a", "1", ("eq",))))),
        ("mean(x where a else 0)", ("mean", "x", ("where", "a"), ("else", "0"))),
        ("mean(x else 0)", ("mean", ("default", "x", "0"))),
        ("[]", []),
        ("[a, [1],]", ["a", ["1"]]),
        ("{}", {}),
        ("{ a: 1, rule: { b: 2 } }", {"a": "1", "rule": {"b": "2"}}),
        ('full { final: "4" }', ("full", {"final": "'4'"})),
        ("full {}", ("full", "block", 0)),
        ("scratch { a = 1; b { c = 2 } }", ("scratch", "block", 2)),
        ('f("x") { a = 1 }', (("f", "'x'"), "block", 1)),
        ("a.split.stage", "a.split.stage"),
        ("f(split: a, baseline: scenario)", ("f", ("split:", "a"), ("baseline:", "scenario"))),
        ("[true, false]", [True, False]),
        ("probes", "probes"),
    ],
)
def test_forms_of_values(text: str, expected: Any) -> None:
    assert show(read_expression(text)) == expected


# --- numbers


@pytest.mark.parametrize(
    ("text", "value", "is_int", "unit"),
    [
        ("17", 17.0, True, None),
        ("200_000tok", 200_000.0, True, "tok"),
        ("1e-6", 1e-6, False, None),
        ("2.5E+3usd", 2500.0, False, "usd"),
        ("20%", 20.0, True, "%"),
        ("16GiB", 16.0, True, "GiB"),
        ("30s", 30.0, True, "s"),
        ("1e", 1.0, True, "e"),
        ("007", 7.0, True, None),
    ],
)
def test_numbers(text: str, value: float, is_int: bool, unit: str | None) -> None:
    number = read_expression(text)
    assert isinstance(number, ast.Number)
    assert (number.value, number.is_int, number.unit, number.text) == (value, is_int, unit, text)


# --- declarations


def test_every_part_of_a_probes_block() -> None:
    decl = parse_decl(
        """/// Asks.
        probes ask(item: rows, secret gold: number) {
          rules = [why]
          yields { open question: text, rationale: list[text] }
          keep probe consistent where agrees(tutor, [probe.question], item.gold)
          keep item where true
        }"""
    )
    assert (decl.kind, decl.name.text, decl.doc) == ("probes", "ask", "Asks.")
    assert [(param.name.text, param.type.name, param.secret) for param in decl.params] == [
        ("item", "rows", False),
        ("gold", "number", True),
    ]
    assert decl.block is not None
    assign, yields, named, anonymous = decl.block.statements
    assert isinstance(assign, ast.Assign)
    assert isinstance(yields, ast.YieldsStmt)
    assert [(field.name.text, field.open) for field in yields.fields] == [
        ("question", True),
        ("rationale", False),
    ]
    element = yields.fields[1].type.element
    assert element is not None
    assert (yields.fields[1].type.name, element.name) == ("list", "text")
    assert isinstance(named, ast.KeepStmt)
    assert named.name is not None
    assert (named.subject.text, named.name.text) == ("probe", "consistent")
    assert isinstance(anonymous, ast.KeepStmt)
    assert anonymous.name is None


def test_every_step_of_a_dialogue() -> None:
    decl = parse_decl(
        """dialogue d(item: rows) {
          system = "s"
          for probe in sample(probes, 5) { user = "q"; assistant explain }
          for x in a.b { }
          assistant final: number.last = "t"
          assistant free = "t"
          scenario full = all
        }"""
    )
    assert decl.block is not None
    system, loop, other, final, free, scenario = decl.block.statements
    assert isinstance(system, ast.Assign)
    assert isinstance(loop, ast.ForStep)
    assert (loop.variable.text, show(loop.sequence)) == ("probe", ("sample", "probes", "5"))
    user, explain = loop.block.statements
    assert isinstance(user, ast.UserStep)
    assert isinstance(explain, ast.AssistantStep)
    assert (explain.type, explain.value) == (None, None)
    assert isinstance(other, ast.ForStep)
    assert show(other.sequence) == "a.b"
    assert isinstance(final, ast.AssistantStep)
    assert final.type is not None
    assert (final.type.name, show(final.value)) == ("number.last", "'t'")
    assert isinstance(free, ast.AssistantStep)
    assert free.type is None
    assert isinstance(scenario, ast.NamedStmt)
    assert (scenario.keyword, scenario.name.text) == ("scenario", "full")


def test_fields_of_a_dataset() -> None:
    decl = parse_decl(
        """dataset rows {
          field a: text
          secret field b: choice("A", "B") = row.b | strip
          split train = 80%
          secret = 1
          field = 2
        }"""
    )
    assert decl.block is not None
    plain, secret, split, *names = decl.block.statements
    assert isinstance(plain, ast.FieldStmt)
    assert (plain.secret, plain.value) == (False, None)
    assert isinstance(secret, ast.FieldStmt)
    assert secret.secret
    assert [show(argument) for argument in secret.type.arguments] == ["'A'", "'B'"]
    assert isinstance(split, ast.NamedStmt)
    assert [name.path[0].text for name in names if isinstance(name, ast.Assign)] == ["secret", "field"]


def test_a_reward_has_a_range() -> None:
    decl = parse_decl("reward r(d: lesson) -> -1..(max_bonus + 1) { total = 0 }")
    assert decl.range is not None
    assert show(decl.range) == ("..", ("neg", "1"), ("add", "max_bonus", "1"))
    assert parse_decl("reward r(d: lesson) { total = 0 }").range is None


def test_answers_tests_studies_and_models() -> None:
    answer = parse_decl("answer letter: choice('A') { extract = last(`x`) }".replace("'", '"'))
    assert answer.type is not None
    assert answer.type.name == "choice"
    assert parse_decl("answer n: number.last").block is None
    test = parse_decl('test "a title" { expect r.total == [1] }')
    assert test.name.text == "a title"
    study = parse_decl(
        "study s of t { variant a { drop stage train } variant b { train.group = { full: 7 } } }"
    )
    assert study.base is not None
    assert study.base.text == "t"
    assert study.block is not None
    first, second = study.block.statements
    assert isinstance(first, ast.GroupBlock)
    assert first.label is not None
    assert (first.keyword.text, first.label.text) == ("variant", "a")
    (drop,) = first.block.statements
    assert isinstance(drop, ast.DropStmt)
    assert (drop.kind.text, drop.name.text) == ("stage", "train")
    assert isinstance(second, ast.GroupBlock)
    (assign,) = second.block.statements
    assert isinstance(assign, ast.Assign)
    assert [part.text for part in assign.path] == ["train", "group"]
    model = parse_decl('model m = openai("x") { temperature = 0.8; price { input = 1usd } }')
    assert isinstance(model.value, ast.Configured)


def test_imports() -> None:
    spec = parse_text('exg 1 use std.rules.{a, b as c} use std.x as m use "./s.exg".{y}')
    names, module, path = spec.uses
    assert names.items is not None
    assert [(item.name.text, item.alias and item.alias.text) for item in names.items] == [
        ("a", None),
        ("b", "c"),
    ]
    assert (names.target, names.is_path, names.alias) == ("std.rules", False, None)
    assert module.alias is not None
    assert (module.target, module.items, module.alias.text) == ("std.x", None, "m")
    assert (path.target, path.is_path) == ("./s.exg", True)


def test_every_soft_word_names_everything() -> None:
    words = "exg as of use const dataset rule probes dialogue answer rubric reward model task test study"
    words += " secret field split scenario stage keep yields open assistant example expect drop"
    for word in words.split():
        assert parse_decl(f"const {word} = x.{word}").name.text == word
        decl = parse_decl(
            f"dataset {word} {{ field {word}: {word} = f({word}: 1, r: {{ {word}: 1 }})\n{word} = 1 }}"
        )
        assert decl.block is not None
        assert len(decl.block.statements) == 2


# --- line breaks, documentation, spans


def test_line_breaks_mean_nothing() -> None:
    text = 'exg 1 dataset d { source = f("x"); split train = 80% } const a = 1 + 2 task t { a = 1; b = 2 }'
    spread = re.sub(r"(?<=[ ])", "\n", text.replace(";", "\n"))
    first, second = (parse_text(each) for each in (text, spread))
    assert (
        [decl.name.text for decl in first.decls]
        == [decl.name.text for decl in second.decls]
        == ["d", "a", "t"]
    )


def test_documentation_is_joined_and_comments_are_kept() -> None:
    spec = parse_text("exg 1\n// plain\n/// One.\n///\n///  two\nconst x = 1 // allow: y -- z\n")
    assert spec.decls[0].doc == "One.\n\n two"
    assert [comment.text for comment in spec.comments] == ["plain", "allow: y -- z"]


def test_statements_carry_their_documentation() -> None:
    decl = parse_decl(
        'dialogue d(i: r) {\n/// a\nuser = "x"\n/// b\nassistant f\n/// c\nfor x in y {}\n/// d\nscenario s = all\n}'
    )
    assert decl.block is not None
    assert [getattr(statement, "doc", None) for statement in decl.block.statements] == ["a", "b", "c", "d"]


def test_a_span_covers_exactly_what_was_written() -> None:
    text = 'exg 1\nconst x = (a + b) * f( "s" ) # \n'.replace(" # ", "")
    (decl,) = parse_text(text).decls
    assert isinstance(decl.value, ast.Binary)
    call = decl.value.right
    shown = [
        text[span.start : span.end] for span in (decl.span, decl.value.span, call.span, decl.value.left.span)
    ]
    assert shown == ['const x = (a + b) * f( "s" )', '(a + b) * f( "s" )', 'f( "s" )', "a + b"]


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_text("\ufeffexg 1\nconst x = 1").decls[0].name.text == "x"


def test_line_ends_of_windows_change_nothing_but_offsets() -> None:
    text = 'exg 1\n\nconst x = """\n  a\n  b\n  """\n'
    unix, windows = (parse_text(each).decls[0].value for each in (text, text.replace("\n", "\r\n")))
    assert isinstance(unix, ast.Text)
    assert isinstance(windows, ast.Text)
    assert unix.value == windows.value == "a\nb"


# --- --set values


def test_an_expression_may_hold_settings() -> None:
    value = read_expression("scratch { layers = 3; width = 96; heads = 4; vocab = 512 }")
    assert isinstance(value, ast.Configured)
    assert len(value.block.statements) == 4


@pytest.mark.parametrize("text", ["", "1 2", "a = 1", "f(", "model m = 1", "{ a: 1", '"x'])
def test_what_is_not_one_expression_is_refused(text: str) -> None:
    outcome = parse_expression(Source("set", text, "set"))
    assert outcome.value is None
    assert len(outcome.diagnostics) == 1


# --- recovery


def test_a_damaged_declaration_keeps_its_other_statements() -> None:
    outcome = parse_spec(
        Source("spec.exg", "exg 1\ntask t {\n  a = 1\n  b = = = 2\n  c = 3\n}\nconst x = 1", "spec")
    )
    assert outcome.value is not None
    task, const = outcome.value.decls
    assert task.block is not None
    paths = [each.path[0].text for each in task.block.statements if isinstance(each, ast.Assign)]
    assert paths == ["a", "c"]
    assert (task.is_damaged, const.is_damaged) == (True, False)
    assert "b" in outcome.value.lost_names
    assert not outcome.is_ok


def test_the_names_of_a_lost_declaration_are_known() -> None:
    outcome = parse_spec(Source("spec.exg", "exg 1\nrule why(a text, b text) { }\nconst x = 1", "spec"))
    assert outcome.value is not None
    assert [decl.name.text for decl in outcome.value.decls] == ["x"]
    assert "why" in outcome.value.lost_names
