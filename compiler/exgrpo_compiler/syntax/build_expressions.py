"""Parse trees of names, types and expressions to syntax trees.

What the grammar lets pass for the sake of a better message is reported here: a statement word that stands as
a value, a number too large, a line that continues the one before by accident.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Sequence
from typing import Any, Literal, cast

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler import ast
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.braces import ReadExpr, read_braced, read_record
from exgrpo_compiler.syntax.strings import decode_string
from exgrpo_compiler.syntax.terminals import STATEMENT_WORDS
from exgrpo_compiler.syntax.tokens import get_span, get_start
from exgrpo_compiler.syntax.tree import Token, Tree

Children = Sequence[Any]

STATEMENT_NAMES = frozenset(word.lower() for word in STATEMENT_WORDS) - {"scenario"}
"""Words that are no values; `scenario` is one as well, in `baseline: scenario`."""
_SHORT = 15
"""Digits of a whole number that a float holds exactly, whatever they are."""
_NUMBER = re.compile(r"([0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?)(.*)", re.DOTALL)
_COMPARISONS: dict[str, Literal["eq", "ne", "lt", "le", "gt", "ge"]] = {
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
}
_ARITHMETIC: dict[str, Literal["add", "sub", "mul", "div"]] = {"+": "add", "-": "sub", "*": "mul", "/": "div"}


Path = tuple[ast.Name, ...]
"""A dotted name, before it is known whether a type, a function or a value is meant."""


class Where(NamedTuple):
    """`where condition [else otherwise]` of an aggregate."""

    condition: ast.Expr
    otherwise: ast.Expr | None


class Arguments(NamedTuple):
    """What stands between the parentheses of a call."""

    values: tuple[ast.Argument, ...]
    where: Where | None
    span: Span


class ExpressionBuilder:
    """Turns each node, once its children are turned, by the method named `_build_` and its rule."""

    def __init__(self, source: Source, line_leads: Container[int]) -> None:
        self.source = source
        self.line_leads = line_leads
        """Offsets of the tokens that begin a line outside of parentheses and brackets."""
        self.diagnostics: list[Diagnostic] = []

    def build(self, root: Tree) -> Any:
        """The value of a parse tree; the stack is ours, so that depth costs no calls."""
        order: list[Tree | Token] = []
        todo: list[Tree | Token] = [root]
        while todo:
            node = todo.pop()
            order.append(node)
            if isinstance(node, Tree):
                todo.extend(node.children)
        values: list[Any] = []
        for node in reversed(order):
            if isinstance(node, Token):
                values.append(node)
                continue
            count = len(node.children)
            children = values[len(values) - count :]
            del values[len(values) - count :]
            method: Callable[[Span, Children], Any] = getattr(self, f"_build_{node.data}")
            values.append(method(Span(self.source, node.start, node.end), children))
        return values[0]

    def report(
        self, id: str, message: str, span: Span, hint: str | None = None, fix: Fix | None = None
    ) -> None:
        """Adds an error."""
        self.diagnostics.append(Diagnostic(id, "error", message, span, hint=hint, fix=fix))

    def warn_continued(self, offset: int, sign: str) -> None:
        """Warns if `sign`, which continues an expression, begins its line."""
        if offset not in self.line_leads:
            return
        before = len(self.source.text[:offset].rstrip())
        self.diagnostics.append(
            Diagnostic(
                "continued-line",
                "warning",
                f"The `{sign}` at the start of this line continues the line before.",
                Span(self.source, offset, offset + 1),
                (Label(Span(self.source, before - 1, before), "the statement goes on from here"),),
                f"move the `{sign}` to the end of the line before, or end that line with `;`",
                self._build_continued_fix(before, offset, sign),
            )
        )

    def _build_continued_fix(self, before: int, offset: int, sign: str) -> Fix | None:
        """The sign at the end of the line before, where no comment is in the way; the statement stays what it is."""
        text = self.source.text
        if "//" in text[text.rfind("\n", 0, before) + 1 : before]:
            return None
        after = offset + 1 + (text[offset + 1 : offset + 2] == " " and sign == "-")
        moved = sign if sign == "(" else f" {sign}"
        edits = (Edit(Span(self.source, before, before), moved), Edit(Span(self.source, offset, after), ""))
        return Fix(f"move the `{sign}` to the end of the line before", edits, is_safe=True)

    # --- names and types

    def _build_name(self, span: Span, children: Children) -> ast.Name:
        return ast.Name(str(children[0]), span)

    def _build_name_path(self, span: Span, children: Children) -> Path:
        return tuple(children)

    def _build_record_field(self, span: Span, children: Children) -> ast.RecordField:
        return ast.RecordField(children[0], children[1], span)

    def _build_type(self, span: Span, children: Children) -> ast.TypeExpr:
        if not children or not isinstance(children[0], tuple):
            fields = tuple(child for child in children if isinstance(child, ast.RecordField))
            return ast.TypeExpr("record", (), None, span, fields)
        name = ".".join(part.text for part in children[0])
        element: ast.TypeExpr | None = None
        arguments: tuple[ast.Argument, ...] = ()
        if len(children) > 1 and isinstance(children[1], ast.TypeExpr):
            element = children[1]
        elif len(children) > 1:
            arguments = children[1].values
            self._reject_where(children[1])
        return ast.TypeExpr(name, arguments, element, span)

    def _reject_where(self, arguments: Arguments) -> None:
        if arguments.where is not None:
            message = "`where` belongs in an aggregate such as `mean(x where condition)`."
            self.report("syntax-error", message, arguments.where.condition.span)

    def turn_path(self, path: Path) -> ast.Expr:
        """A dotted name as a value."""
        value: ast.Expr = ast.Ref(path[0].text, path[0].span)
        for part in path[1:]:
            value = ast.Attribute(value, part, value.span.to(part.span))
        return value

    # --- atoms

    def _build_number(self, span: Span, children: Children) -> ast.Number:
        text = str(children[0])
        if text.isdecimal() and len(text) <= _SHORT:
            return ast.Number(float(text), True, None, text, span)
        match = _NUMBER.fullmatch(text)
        digits, unit = (match[1], match[2]) if match else (text, "")
        value = float(digits.replace("_", ""))
        if math.isinf(value):
            # Stays infinite, so that no check takes it for a number and finds more wrong with it.
            self.report("bad-number", f"`{digits}` is too large for a number.", span)
        is_int = not any(sign in digits for sign in ".eE")
        return ast.Number(value, is_int, unit or None, text, span)

    def _build_text(self, span: Span, children: Children) -> ast.Text:
        return self.read_text(children[0])

    def read_text(self, token: Token) -> ast.Text:
        """The value of a string token."""
        decoded = decode_string(self.source, token.type, get_span(self.source, token))
        self.diagnostics.extend(decoded.diagnostics)
        return decoded.text

    def _build_bool_(self, span: Span, children: Children) -> ast.Bool:
        return ast.Bool(children[0].type == "TRUE", span)

    def _build_list(self, span: Span, children: Children) -> ast.ListExpr:
        return ast.ListExpr(tuple(children), span)

    def _build_record(self, span: Span, children: Children) -> ast.Expr:
        return self._keep(read_record(children[0], None, span))

    def _build_reference(self, span: Span, children: Children) -> ast.Ref:
        name: ast.Name = children[0]
        if name.text in STATEMENT_NAMES:
            self.report_statement_word(name.text, name.span)
        return ast.Ref(name.text, name.span)

    def report_statement_word(self, word: str, span: Span) -> None:
        """Adds the error for a word that stands where a value is due."""
        message = f"`{word}` begins a statement and cannot stand as a value."
        self.report("statement-word", message, span, "is a value missing here?")

    # --- calls

    def _build_attribute(self, span: Span, children: Children) -> ast.Attribute:
        return ast.Attribute(children[0], children[1], span)

    def _build_call(self, span: Span, children: Children) -> ast.Call:
        function, arguments = children
        self.warn_continued(arguments.span.start, "(")
        return self._make_call(function, arguments, span)

    def _build_head_call(self, span: Span, children: Children) -> ast.Call:
        path, arguments = children
        return self._make_call(self.turn_path(path), arguments, span)

    def _make_call(self, function: ast.Expr, arguments: Arguments, span: Span) -> ast.Call:
        where, otherwise = arguments.where or (None, None)
        return ast.Call(function, arguments.values, where, otherwise, span)

    def _build_arguments(self, span: Span, children: Children) -> Arguments:
        where = children[-1] if children and isinstance(children[-1], Where) else None
        values = children[:-1] if where is not None else children
        wrapped = (
            value if isinstance(value, ast.Argument) else ast.Argument(None, value, value.span)
            for value in values
        )
        return Arguments(tuple(wrapped), where, span)

    def _build_argument(self, span: Span, children: Children) -> ast.Argument:
        return ast.Argument(children[0], children[1], span)

    def _build_where(self, span: Span, children: Children) -> Where:
        return Where(children[0], children[1] if len(children) > 1 else None)

    def _build_pipe(self, span: Span, children: Children) -> ast.Pipe:
        arguments: tuple[ast.Argument, ...] = ()
        if len(children) > 2:
            self.warn_continued(children[2].span.start, "(")
            self._reject_where(children[2])
            arguments = children[2].values
        return ast.Pipe(children[0], self.turn_path(children[1]), arguments, span)

    def _build_braced(self, span: Span, children: Children) -> ast.Expr:
        value, braces = children
        self.warn_continued(braces.span.start, "{")
        return self._keep(read_braced(value, braces, span))

    def _keep(self, read: ReadExpr) -> ast.Expr:
        self.diagnostics.extend(read.diagnostics)
        return read.value

    # --- operators

    def _build_negative(self, span: Span, children: Children) -> ast.Unary:
        return ast.Unary("neg", children[0], span)

    def _build_not_(self, span: Span, children: Children) -> ast.Unary:
        return ast.Unary("not", children[0], span)

    def _build_arithmetic(self, span: Span, children: Children) -> ast.Binary:
        left, sign, right = children
        if sign.type == "MINUS":
            self.warn_continued(get_start(sign), "-")
        return ast.Binary(_ARITHMETIC[str(sign)], left, right, span)

    def _build_and_(self, span: Span, children: Children) -> ast.Binary:
        return ast.Binary("and", children[0], children[1], span)

    def _build_or_(self, span: Span, children: Children) -> ast.Binary:
        return ast.Binary("or", children[0], children[1], span)

    def _build_compare(self, span: Span, children: Children) -> ast.Compare:
        ops = tuple(_COMPARISONS[str(sign)] for sign in children[1::2])
        return ast.Compare(tuple(children[::2]), ops, span)

    def _build_range_(self, span: Span, children: Children) -> ast.Range:
        return ast.Range(children[0], children[1], span)

    def _build_conditional(self, span: Span, children: Children) -> ast.Conditional:
        then, condition, otherwise = children
        return ast.Conditional(condition, then, otherwise, span)

    def _build_default(self, span: Span, children: Children) -> ast.Default:
        return ast.Default(children[0], children[1], span)

    def _build_expression(self, span: Span, children: Children) -> ast.Expr:
        return cast(ast.Expr, children[0])
