"""From one parsed file to the whole program: imports followed, scopes built, names that clash reported.

Which module a name comes from is settled here; whether it is of the right kind is the business of `check`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from exgrpo_compiler.ast import Decl, Name, SpecFile, Use, UseItem
from exgrpo_compiler.diagnostics import Edit, Fix, Label, Outcome, find_closest, suggest_name
from exgrpo_compiler.problems import Problems, list_names, suggest_fix
from exgrpo_compiler.program import MISSING, Binding, Key, Load, Module, ModuleAlias, Program
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.lex import scan_text

Parse = Callable[[Source], Outcome[SpecFile]]


_STANDARD = ("std.rules",)
"""Modules of the installed library."""


class _Loader:
    """Modules met so far; `trail` is the chain of imports that is being followed."""

    def __init__(self, load: Load, parse: Parse, problems: Problems) -> None:
        self.load = load
        self.parse = parse
        self.problems = problems
        self.specs: dict[str, SpecFile] = {}
        self.targets: dict[tuple[str, str], str] = {}
        self.trail: list[str] = []

    def add(self, source: Source) -> bool:
        """Parses a module and all that it imports. False where it could not be parsed at all."""
        outcome = self.parse(source)
        self.problems.extend(outcome.diagnostics)
        if outcome.value is None:
            return False
        self.specs[source.name] = outcome.value
        self.trail.append(source.name)
        for use in outcome.value.uses:
            if use.items is None and use.alias is None:
                continue  # imports nothing, which was reported
            self._follow(source, use)
        self.trail.pop()
        return True

    def list_modules(self) -> list[str]:
        """Modules that are known to be there: the standard library's, and those imported elsewhere."""
        return [*_STANDARD, *(target for _, target in self.targets)]

    def _find_meant(self, target: str) -> str | None:
        """The module that a slip made `target` of; a library of another name is none, however alike its modules are called."""
        return find_closest(target, [name for name in self.list_modules() if name[0] == target[0]])

    def _follow(self, importer: Source, use: Use) -> None:
        target = self.load(use.target, importer)
        if target is None:
            what = "file" if use.is_path else "module"
            closest = None if use.is_path else self._find_meant(use.target)
            self.problems.error(
                "unknown-module",
                use.target_span,
                f"There is no {what} `{use.target}`.",
                fix=Fix(f"write `{closest}`", (Edit(use.target_span, closest),)) if closest else None,
                hint=f"did you mean `{closest}`?"
                if closest
                else (
                    "the path is relative to the file that imports it"
                    if use.is_path
                    else "a dotted name is a module of `std`, or of a library that exg.toml requires (`exgrpo add`); "
                    'a file is imported as "./file.exg"'
                ),
            )
            return
        if target.name in self.trail:
            chain = [self.specs[name].source.module for name in self.trail[self.trail.index(target.name) :]]
            self.problems.error(
                "import-cycle",
                use.target_span,
                "Imports go round in a circle: " + " -> ".join([*chain, target.module]) + ".",
                hint="move what both need into a third file",
            )
        elif target.name not in self.specs and not self.add(target):
            return
        self.targets[importer.name, use.target] = target.name


def resolve_program(source: Source, load: Load, parse: Parse) -> Outcome[Program]:
    """The program whose entry file is `source`. None only where the entry could not be parsed at all."""
    problems = Problems()
    loader = _Loader(load, parse, problems)
    if not loader.add(source):
        return Outcome(None, problems.found)
    declared = {name: _declare(spec, problems) for name, spec in loader.specs.items()}
    modules = {
        name: Module(spec, _build_scope(name, spec, declared, loader, problems))
        for name, spec in loader.specs.items()
    }
    decls = {Key(module, name): decl for module, named in declared.items() for name, decl in named.items()}
    tests = tuple(
        (module, decl) for module, spec in loader.specs.items() for decl in spec.decls if decl.kind == "test"
    )
    return Outcome(Program(source.name, modules, decls, tests), problems.found)


def _declare(spec: SpecFile, problems: Problems) -> dict[str, Decl]:
    named: dict[str, Decl] = {}
    for decl in spec.decls:
        if decl.kind == "test":
            continue
        _check_style(decl, problems)
        first = named.setdefault(decl.name.text, decl)
        if first is not decl:
            _report_clash(
                problems, decl.name, f"{decl.kind}", first.name.span, f"{first.kind} `{first.name.text}`"
            )
    return named


def _check_style(decl: Decl, problems: Problems) -> None:
    name = decl.name.text
    if name != name.lower():
        snake = re.sub(r"(?<=[^\W_])(?=[A-Z][^A-Z])|(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        problems.warning(
            "name-style", decl.name.span, f"Names are snake_case; `{name}` is not.", hint=f"write `{snake}`"
        )


def _build_scope(
    module: str, spec: SpecFile, declared: dict[str, dict[str, Decl]], loader: _Loader, problems: Problems
) -> dict[str, Binding]:
    scope = {name: Binding(Key(module, name), decl.name.span) for name, decl in declared[module].items()}

    def bind(name: Name, target: Key | ModuleAlias) -> None:
        if name.text in scope:
            _report_clash(problems, name, "import", scope[name.text].span, f"`{name.text}`")
        else:
            scope[name.text] = Binding(target, name.span)

    for use in spec.uses:
        target = loader.targets.get((module, use.target))
        if use.items is None:
            if use.alias is not None:
                bind(use.alias, ModuleAlias(target or MISSING))
            continue
        for item in use.items:
            if target is None:
                bind(item.alias or item.name, Key(MISSING, item.name.text))
                continue
            if item.name.text not in declared[target]:
                _report_missing(spec, use.target, item, declared[target], problems)
                bind(item.alias or item.name, Key(MISSING, item.name.text))
                continue
            bind(item.alias or item.name, Key(target, item.name.text))
    return scope


def _report_missing(
    spec: SpecFile, module: str, item: UseItem, declared: Collection[str], problems: Problems
) -> None:
    """A name that the module lacks; where another is close, it is renamed in the whole file."""
    name = item.name.text
    fix = suggest_fix(item.name.span, name, declared)
    if fix is not None and item.alias is None:
        new = fix.edits[0].text
        spans = [item.name.span, *_find_words(spec.source, name, item.name.span.end)]
        fix = Fix(fix.title, tuple(Edit(span, new) for span in spans), fix.is_safe)
    hint = suggest_name(name, declared) or list_names(declared, "it declares")
    problems.error("unknown-name", item.name.span, f"`{module}` declares no `{name}`.", hint=hint, fix=fix)


def _find_words(source: Source, word: str, after: int) -> Iterator[Span]:
    """Where a name stands by itself after an offset: not as a field, and in no string and no comment."""
    previous = ""
    for kind, text, start, end in scan_text(source.text, after):
        if kind == "NAME" and text == word and previous != "DOT":
            yield Span(source, start, end)
        previous = kind


def _report_clash(problems: Problems, name: Name, what: str, first: Span, first_what: str) -> None:
    problems.error(
        "duplicate-name",
        name.span,
        f"The name `{name.text}` is taken: this {what} would be its second meaning.",
        labels=(Label(first, f"{first_what} is here"),),
        hint="rename one of them"
        if what != "import"
        else f"import it under another name: `{name.text} as …`",
    )
