"""Imports, scopes, and which declaration a name stands for."""

from __future__ import annotations

from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.program import Key, ModuleAlias
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.source import Source
from tests.support.compiling import check, compile_manifest, find_ids, load


def resolve(text: str):
    return resolve_program(Source("spec.exg", text, "spec.exg"), load, parse_spec)


def test_an_imported_name_is_the_declaration_of_its_file() -> None:
    program = resolve('exg 1\nuse "./base.exg".{rows as data}\n').value
    assert program is not None
    assert program.find("spec.exg", "data") == Key("./base.exg", "rows")
    assert program.find("spec.exg", "rows") is None


def test_an_alias_is_the_module() -> None:
    program = resolve("exg 1\nuse std.rules as rules\n").value
    assert program is not None
    assert program.find("spec.exg", "rules") == ModuleAlias("std.rules")


def test_a_file_imported_twice_is_read_once() -> None:
    program = resolve('exg 1\nuse "./base.exg".{rows}\nuse "./base.exg".{student}\n').value
    assert program is not None
    assert list(program.modules) == ["spec.exg", "./base.exg"]


def test_the_loader_is_told_who_imports() -> None:
    seen: list[tuple[str, str]] = []

    def find(target: str, importer: Source) -> Source | None:
        seen.append((target, importer.name))
        texts = {"./a.exg": 'exg 1\nuse "./b.exg".{y}\nconst x = y\n', "./b.exg": "exg 1\nconst y = 1\n"}
        return Source("lib/" + target[2:], texts[target], target)

    source = Source("spec.exg", 'exg 1\nuse "./a.exg".{x}\n', "spec.exg")
    outcome = resolve_program(source, find, parse_spec)
    assert not outcome.diagnostics
    assert seen == [("./a.exg", "spec.exg"), ("./b.exg", "lib/a.exg")]


def test_a_mistake_in_an_imported_file_is_reported_there() -> None:
    found = check('exg 1\nuse "./x.exg".{m}\n', files={"./x.exg": "exg 1\nmodel m = openai()\n"})
    assert [(item.id, item.span.source.name) for item in found] == [("missing-argument", "./x.exg")]


def test_a_const_of_another_file_means_what_it_means_there() -> None:
    files = {"./x.exg": "exg 1\nconst inner = 3\nconst outer = inner + 1\n"}
    text = 'exg 1\nuse "./x.exg".{outer}\nconst inner = 100\nconst seen = outer\n'
    assert check(text, files=files) == ()


def test_declarations_may_come_in_any_order() -> None:
    text = """exg 1
task t { data = d; student = s; stage one = sft(talk) }
dialogue talk(item: d) { user = "{{ item.q }}" assistant a = "{{ item.q }}" }
model s = scratch { layers = 1; width = size; heads = 4; vocab = 512 }
const size = 32
dataset d { source = jsonl("x") split train = 100% field q: text }
"""
    assert compile_manifest(text).models["s"].scratch is not None


def test_rules_of_one_name_from_two_files_are_told_apart() -> None:
    text = """exg 1
use "./base.exg".{rows, student, tutor, why}
use std.rules.{why as std_why}
probes both(item: rows) {
  rules = [why, std_why]
  teacher = tutor
  prompt = "{{ rule.name }}"
  yields { open question: text }
}
task t { data = rows; student = student; stage probe = both(split: train) }
"""
    manifest = compile_manifest(text)
    assert manifest.probes["both"].rules == ("why", "std_why")
    assert manifest.rules["why"].instruction != manifest.rules["std_why"].instruction


def test_a_name_lost_in_damaged_text_is_no_second_mistake() -> None:
    text = """exg 1
dataset d = { source }
task t { data = d; student = s; stage one = sft(talk) }
model s = scratch { layers = 1; width = 32; heads = 4; vocab = 512 }
dialogue talk(item: d) { user = "{{ item.q }}" assistant a = "{{ item.q }}" }
"""
    assert find_ids(text) == ["syntax-error"]
