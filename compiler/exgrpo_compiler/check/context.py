"""What every check needs at hand, and how a written name becomes a declaration of the kind that is due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_artifact.record import Record, field, replace
from exgrpo_compiler.ast import Attribute, Decl, Expr, Name, Ref, Text, TypeExpr
from exgrpo_compiler.builtins import PLANNED
from exgrpo_compiler.diagnostics import Edit, Fix, Label, find_closest
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import MISSING, Key, ModuleAlias, Program, TermsOff
from exgrpo_compiler.source import Span
from exgrpo_compiler.syntax.terminals import STATEMENT_WORDS

KIND_TITLES = {
    "const": "a const",
    "dataset": "a dataset",
    "rule": "a rule",
    "probes": "a probes block",
    "dialogue": "a dialogue",
    "answer": "an answer",
    "rubric": "a rubric",
    "reward": "a reward",
    "model": "a model",
    "task": "a task",
    "test": "a test",
    "study": "a study",
}
"""Declaration kinds with their article."""

_OTHER_WORDS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
"""What other languages call the truth values."""


class Context(Record):
    """The program, the module whose names are in scope, and what is checked already.

    `known` maps a declaration to its checked form, or to None where it is broken (and reported).
    """

    program: Program
    module: str
    problems: Problems
    known: Mapping[Key, Any]
    turned_off: TermsOff
    """(reward, term) turned off from outside."""
    written: Program
    """The program before overrides: a study speaks of what is written."""
    consts: dict[Key, Any] = field(default_factory=dict)
    """Consts that were read, so that each is read once however often it is named; None where one is broken."""
    circles: set[Key] = field(default_factory=set)
    """Consts that need themselves."""

    def in_module(self, module: str) -> Context:
        """The same with another module's scope."""
        return self if module == self.module else replace(self, module=module)

    def is_lost(self, name: str) -> bool:
        """Whether the name stood in text that could not be read, which was reported."""
        return name in self.program.modules[self.module].spec.lost_names

    def get_decl(self, key: Key) -> Decl:
        """The declaration behind a key."""
        return self.program.decls[key]


def find_declaration(context: Context, expr: Expr, kinds: tuple[str, ...], what: str) -> Key | None:
    """The declaration of one of `kinds` that `expr` names, or None with a diagnostic.

    `what` says what it is for: "the teacher", "a rule of `rules`".
    """
    if isinstance(expr, Attribute) and isinstance(expr.value, Ref):
        alias = context.program.find(context.module, expr.value.name)
        if isinstance(alias, ModuleAlias):
            return _find_in_module(context, alias, expr.name, kinds, what)
    if not isinstance(expr, Ref):
        due = " or ".join(KIND_TITLES[kind] for kind in kinds)
        message, name = f"The name of {due} is due here, for {what}.", get_quoted_name(context, expr)
        fix = Fix(f"write `{name}`, without quotes", (Edit(expr.span, name),), is_safe=True) if name else None
        context.problems.error("kind-mismatch", expr.span, message, hint=fix.title if fix else None, fix=fix)
        return None
    return find_name(context, expr.name, expr.span, kinds, what)


def get_quoted_name(context: Context, expr: Expr) -> str | None:
    """The name of a declaration that stands in quotes here."""
    is_name = isinstance(expr, Text) and isinstance(context.program.find(context.module, expr.value), Key)
    return expr.value if is_name and isinstance(expr, Text) else None


def find_name(context: Context, name: str, span: Span, kinds: tuple[str, ...], what: str) -> Key | None:
    """The declaration of one of `kinds` with a bare name, or None with a diagnostic."""
    target = context.program.find(context.module, name)
    if target is None:
        report_unknown_name(context, name, span, context.program.names_of(context.module, *kinds), kinds)
        return None
    if isinstance(target, ModuleAlias):
        due = " or ".join(KIND_TITLES[kind] for kind in kinds)
        context.problems.error(
            "kind-mismatch", span, f"`{name}` is a module; {due} is due here.", hint=f"write `{name}.NAME`"
        )
        return None
    return _verify_kind(context, target, name, span, kinds, what)


def find_type_name(context: Context, type_: TypeExpr, kinds: tuple[str, ...], what: str) -> Key | None:
    """The declaration that a parameter's type names."""
    if type_.fields is not None:
        due = " or ".join(KIND_TITLES[kind] for kind in kinds)
        context.problems.error(
            "kind-mismatch",
            type_.span,
            f"The name of {due} is due here, for {what}; this is a record's type.",
        )
        return None
    alias, dot, name = type_.name.partition(".")
    if dot:
        target = context.program.find(context.module, alias)
        if isinstance(target, ModuleAlias):
            return _find_in_module(context, target, Name(name, type_.span), kinds, what)
    return find_name(context, type_.name, type_.span, kinds, what)


def report_unknown_name(
    context: Context, name: str, span: Span, known: list[str], kinds: tuple[str, ...] = (), *, what: str = ""
) -> None:
    """`unknown-name`, or `unsupported-builtin` for one that a later edition brings."""
    if context.is_lost(name) or (name.upper() in STATEMENT_WORDS and name != "scenario"):
        return  # the parser said that something is amiss there
    if name in PLANNED:
        message = f"`{name}` is a value of each token, and the level `token` is reserved for a later edition."
        context.problems.error("unsupported-builtin", span, message)
        return
    own = _OTHER_WORDS.get(name)
    if own is not None:
        fix = Fix(f"write `{own}`", (Edit(span, own),), is_safe=True)
        message = f"There is no `{name}` here: truth values are `true` and `false`."
        context.problems.error("unknown-name", span, message, hint=fix.title, fix=fix)
        return
    if kinds == ("const",) and find_closest(name, known) is None:
        message = f"There is no const `{name}`."
        hint = f'declare it or import it with `use`; a text stands in quotes: "{name}"'
        context.problems.error("unknown-name", span, message, hint=hint)
        return
    due = what or " or ".join(KIND_TITLES[kind].split(" ", 1)[1] for kind in kinds)
    context.problems.unknown(
        "unknown-name",
        span,
        f"There is no {due} `{name}`." if due else f"There is no `{name}` here.",
        name,
        known,
        "known here:",
    )


def _find_in_module(
    context: Context, alias: ModuleAlias, name: Name, kinds: tuple[str, ...], what: str
) -> Key | None:
    if alias.module == MISSING:
        return None
    key = Key(alias.module, name.text)
    if key not in context.program.decls:
        declared = [key.name for key in context.program.decls if key.module == alias.module]
        report_unknown_name(context, name.text, name.span, declared, kinds)
        return None
    return _verify_kind(context, key, name.text, name.span, kinds, what)


def _verify_kind(
    context: Context, key: Key, name: str, span: Span, kinds: tuple[str, ...], what: str
) -> Key | None:
    decl = context.program.decls.get(key)
    if decl is None:  # an import that failed, reported there
        return None
    if decl.kind in kinds:
        return key
    due = " or ".join(KIND_TITLES[kind] for kind in kinds)
    context.problems.error(
        "kind-mismatch",
        span,
        f"`{name}` is {KIND_TITLES[decl.kind]}; {due} is due here, for {what}.",
        labels=(Label(decl.name.span, f"`{name}` is declared here"),),
    )
    return None
