"""Templates: a typed subset of Jinja, checked name by name and attribute by attribute.

Allowed: expressions, `if`, `for` over lists, `set`, the filters of the builtins table, `raw`, comments. Whatever else Jinja has
is refused, since composition is the language's job and a prompt must be readable on its own. Every mistake is reported at its
place inside the string, wherever that string stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from exgrpo_compiler.ast import Text
from exgrpo_compiler.builtins import FILTERS, LOOP_TYPE, PLANNED
from exgrpo_compiler.diagnostics import suggest_name
from exgrpo_compiler.problems import Problems, list_names, start_sentence
from exgrpo_compiler.template_syntax import parse_template
from exgrpo_compiler.template_words import (
    CONSTRUCTS,
    EXPRESSIONS,
    LATEX_HINT,
    describe_syntax_error,
    is_latex,
    make_span,
)
from exgrpo_compiler.value_types import (
    ANY,
    BOOL,
    NUMBER,
    TEXT,
    Type,
    fits,
    join_types,
    list_of,
    name_type,
)

Names = Mapping[str, Type]


def check_template(text: Text, names: Names, problems: Problems, what: str) -> frozenset[str] | None:
    """The names that the template uses, or None with diagnostics. `what` says which template: "the prompt of `invert`"."""
    try:
        tree = parse_template(text.value)
    except TemplateSyntaxError as error:
        # Jinja says of an end that came too soon that it is at the last token.
        at = len(text.value) if "end of template" in (error.message or "") else error.lineno
        problems.error(
            "template-syntax",
            make_span(text, at, 1),
            f"This template is malformed: {describe_syntax_error(error.message)}.",
            hint=LATEX_HINT if is_latex(text.value, error.lineno) else None,
        )
        return None
    checker = _Checker(text, names, problems, what)
    before = len(problems)
    checker.check_body(tree.body, dict(names))
    return frozenset(checker.used) if len(problems) == before else None


class _Checker:
    """Walks one template."""

    text: Text
    names: Names
    problems: Problems
    what: str
    used: set[str]

    def __init__(self, text: Text, names: Names, problems: Problems, what: str) -> None:
        self.text = text
        self.names = names
        self.problems = problems
        self.what = what
        self.used = set()

    def error(self, id_: str, at: int, length: int, message: str, hint: str | None = None) -> None:
        self.problems.error(id_, make_span(self.text, at, length), message, hint=hint)

    # --- statements ------------------------------------------------------------------------------------

    def check_body(self, body: list[nodes.Node], scope: dict[str, Type]) -> None:
        for node in body:
            self.check_statement(node, scope)

    def check_statement(self, node: nodes.Node, scope: dict[str, Type]) -> None:
        match node:
            case nodes.Output():
                for child in node.nodes:
                    if not isinstance(child, nodes.TemplateData):
                        self.check_printed(child, scope)
            case nodes.If():
                self.check_value(node.test, scope)
                for part in node.elif_:
                    self.check_statement(part, scope)
                self.check_body(node.body, dict(scope))
                self.check_body(node.else_, dict(scope))
            case nodes.For():
                self.check_for(node, scope)
            case nodes.Assign():
                type_ = self.check_value(node.node, scope)
                if isinstance(node.target, nodes.Name):
                    scope[node.target.name] = type_ or ANY
                else:
                    self.error(
                        "template-construct", node.target.lineno, 1, "`set` gives a value to one plain name."
                    )
            case _:
                self.refuse(node)

    def check_for(self, node: nodes.For, scope: dict[str, Type]) -> None:
        sequence = self.check_value(node.iter, scope)
        element = ANY
        if sequence is not None and sequence.kind not in ("list", "any"):
            self.error(
                "type-mismatch",
                node.iter.lineno,
                1,
                f"A template loops over a list; this is {name_type(sequence)}.",
            )
        elif sequence is not None:
            element = sequence.element or ANY
        if node.recursive or not isinstance(node.target, nodes.Name):
            self.error(
                "template-construct",
                node.lineno,
                3,
                "A template's loop has one plain name and is not recursive.",
            )
            return
        inner = {**scope, node.target.name: element, "loop": LOOP_TYPE}
        if node.test is not None:
            self.check_value(node.test, inner)
        self.check_body(node.body, inner)
        self.check_body(node.else_, dict(scope))

    def check_printed(self, node: nodes.Node, scope: dict[str, Type]) -> None:
        type_ = self.check_value(node, scope)
        if type_ is None:
            return
        if type_.kind == "record":
            at, length = self.place(node)
            hint = list_names(type_.field_names, "it has")
            self.error(
                "type-mismatch",
                at,
                length,
                f"This prints {type_.title} as a whole; name a field of it.",
                hint,
            )
        elif type_.kind == "list":
            at, length = self.place(node)
            self.error("type-mismatch", at, length, "This prints a list as a whole; loop over it with `for`.")

    def refuse(self, node: nodes.Node) -> None:
        name = type(node).__name__
        if name in CONSTRUCTS:
            message = f"Templates have no `{CONSTRUCTS[name]}`."
        else:
            message = f"{EXPRESSIONS.get(name, 'This')} is no part of a template."
        hint = None
        if name == "Call":
            hint = "filters do such work: {{ x | strip }}"
        elif name in CONSTRUCTS:
            hint = "templates have expressions, if, for, set, filters, raw and comments"
        at, length = self.place(node)
        self.error("template-construct", at, length, message, hint)

    def place(self, node: nodes.Node) -> tuple[int, int]:
        """Offset and length of what an expression begins with."""
        while isinstance(
            node, nodes.Getattr | nodes.Getitem | nodes.Filter | nodes.Call | nodes.Test | nodes.Slice
        ):
            inner = node.node if not isinstance(node, nodes.Slice) else None
            if inner is None:
                break
            node = inner
        length = len(node.name) if isinstance(node, nodes.Name) else 1
        return node.lineno, length

    # --- expressions -----------------------------------------------------------------------------------

    def check_value(self, node: Any, scope: dict[str, Type]) -> Type | None:
        """The expression's type, or None where a mistake in it was reported."""
        match node:
            case nodes.Name():
                return self.check_name(node, scope)
            case nodes.Getattr():
                return self.check_attribute(node, node.attr, self.find_attribute(node), scope)
            case nodes.Getitem():
                return self.check_item(node, scope)
            case nodes.Filter():
                return self.check_filter(node, scope)
            case nodes.Const():
                return _get_const_type(node.value)
            case nodes.TemplateData():
                return TEXT
            case nodes.List() | nodes.Tuple():
                types = [self.check_value(item, scope) for item in node.items]
                return None if any(item is None for item in types) else list_of(_join_all(types))
            case nodes.CondExpr():
                self.check_value(node.test, scope)
                then = self.check_value(node.expr1, scope)
                otherwise = self.check_value(node.expr2, scope) if node.expr2 is not None else TEXT
                return (join_types(then, otherwise) or ANY) if then and otherwise else None
            case nodes.Compare():
                parts = [
                    self.check_value(node.expr, scope),
                    *(self.check_value(op.expr, scope) for op in node.ops),
                ]
                return None if any(part is None for part in parts) else BOOL
            case nodes.And() | nodes.Or():
                sides = (self.check_value(node.left, scope), self.check_value(node.right, scope))
                return BOOL if all(sides) else None
            case nodes.Not():
                return BOOL if self.check_value(node.node, scope) else None
            case nodes.Add() | nodes.Sub() | nodes.Mul() | nodes.Div():
                return self.check_arithmetic(node, scope)
            case nodes.Neg() | nodes.Pos():
                return self.check_number(node.node, scope)
            case nodes.Concat():
                parts = [self.check_value(part, scope) for part in node.nodes]
                return None if any(part is None for part in parts) else TEXT
            case _:
                self.refuse(node)
                return None

    def check_name(self, node: nodes.Name, scope: dict[str, Type]) -> Type | None:
        if node.name in scope:
            if node.name in self.names:
                self.used.add(node.name)
            return scope[node.name]
        hint = suggest_name(node.name, scope) or list_names(scope, "it sees")
        if is_latex(self.text.value, node.lineno):
            hint = LATEX_HINT
        self.error(
            "unknown-name",
            node.lineno,
            len(node.name),
            f"There is no `{node.name}` in {self.what}.",
            hint or "it has no parameters",
        )
        return None

    def find_attribute(self, node: nodes.Getattr) -> int:
        """Offset of the attribute's name: `lineno` is that of the dot, and blanks may follow it."""
        at = node.lineno + 1
        value = self.text.value
        while at < len(value) and value[at].isspace():
            at += 1
        return at

    def check_item(self, node: nodes.Getitem, scope: dict[str, Type]) -> Type | None:
        key = node.arg.value if isinstance(node.arg, nodes.Const) else None
        if isinstance(key, str):
            return self.check_attribute(node, key, node.arg.lineno + 1, scope)
        base = self.check_value(node.node, scope)
        if base is None:
            return None
        if isinstance(key, int) and base.kind in ("list", "any"):
            return base.element or ANY
        self.error(
            "template-construct",
            node.lineno,
            1,
            "In brackets stands the name of a field, or the index in a list.",
        )
        return None

    def check_attribute(self, node: Any, name: str, at: int, scope: dict[str, Type]) -> Type | None:
        base = self.check_value(node.node, scope)
        if base is None:
            return None
        if base.kind == "any":
            return ANY
        if base.kind != "record":
            self.error("unknown-field", at, len(name), f"{start_sentence(name_type(base))} has no `{name}`.")
            return None
        type_ = base.get_field(name)
        if type_ is None:
            hint = suggest_name(name, base.field_names) or list_names(base.field_names, "its fields are")
            self.error(
                "unknown-field", at, len(name), f"{start_sentence(base.title)} has no field `{name}`.", hint
            )
        return type_

    def check_filter(self, node: nodes.Filter, scope: dict[str, Type]) -> Type | None:
        value = self.check_value(node.node, scope) if node.node is not None else TEXT
        arguments = [self.check_value(argument, scope) for argument in node.args]
        function = FILTERS.get(node.name)
        if function is None:
            if node.name in PLANNED:
                message, hint = f"`{node.name}` is not implemented in this version.", None
            else:
                message = f"There is no filter `{node.name}`."
                hint = suggest_name(node.name, FILTERS) or list_names(FILTERS, "the filters are", limit=20)
            self.error("unknown-filter", node.lineno, len(node.name), message, hint)
            return None
        given = [type_ for type_ in (value, *arguments) if type_ is not None]
        if len(given) < 1 + len(arguments):
            return None
        params = function.params
        num_required = sum(param.is_required for param in params)
        if node.kwargs or not num_required <= len(given) <= len(params):
            shown = ", ".join(param.name for param in params[1:])
            self.error(
                "missing-argument",
                node.lineno,
                len(node.name),
                f"The filter is written `{node.name}({shown})`.",
            )
            return None
        for param, type_ in zip(params, given, strict=False):
            if not fits(type_, param.type):
                self.error(
                    "type-mismatch",
                    node.lineno,
                    len(node.name),
                    f"`{node.name}` works on {name_type(param.type)}; this is {name_type(type_)}.",
                )
                return None
        return function.result

    def check_arithmetic(self, node: Any, scope: dict[str, Type]) -> Type | None:
        if isinstance(node, nodes.Add):
            sides = (self.check_value(node.left, scope), self.check_value(node.right, scope))
            if sides[0] is None or sides[1] is None:
                return None
            if sides[0].is_text and sides[1].is_text and "any" not in (sides[0].kind, sides[1].kind):
                return TEXT
            if sides[0].is_number and sides[1].is_number:
                return NUMBER
            self.error(
                "type-mismatch",
                node.lineno,
                1,
                "`+` joins two texts, or adds two numbers; `~` joins anything.",
            )
            return None
        left, right = self.check_number(node.left, scope), self.check_number(node.right, scope)
        return NUMBER if left and right else None

    def check_number(self, node: Any, scope: dict[str, Type]) -> Type | None:
        type_ = self.check_value(node, scope)
        if type_ is not None and not type_.is_number:
            at, length = self.place(node)
            self.error("type-mismatch", at, length, f"A number is due here; this is {name_type(type_)}.")
            return None
        return type_


def _get_const_type(value: object) -> Type:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, str):
        return TEXT
    return NUMBER if isinstance(value, int | float) else ANY


def _join_all(types: list[Type | None]) -> Type:
    joined: Type | None = None
    for type_ in types:
        if type_ is not None:
            joined = type_ if joined is None else (join_types(joined, type_) or ANY)
    return joined or ANY
