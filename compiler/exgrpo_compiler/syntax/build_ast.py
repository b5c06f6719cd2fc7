"""Parse trees of statements and declarations to syntax trees, with the documentation that precedes them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Literal, cast

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler import ast
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.braces import Braces, read_block
from exgrpo_compiler.syntax.build_expressions import Children, ExpressionBuilder
from exgrpo_compiler.syntax.tokens import Doc, get_span, report_dangling_doc
from exgrpo_compiler.syntax.tree import Token


class Header(NamedTuple):
    """`exg EDITION`."""

    edition: ast.Number
    span: Span


class TreeBuilder(ExpressionBuilder):
    """Statements and declarations on top of expressions."""

    def __init__(self, source: Source, line_leads: Container[int], docs: Mapping[int, Doc]) -> None:
        super().__init__(source, line_leads)
        self.docs = docs
        self.used_docs: set[int] = set()

    def take_doc(self, span: Span) -> str:
        """The documentation right before a node, or an empty text."""
        start = span.start
        if start not in self.docs:
            return ""
        self.used_docs.add(start)
        return self.docs[start].text

    def read_block(self, braces: Braces) -> ast.Block:
        """A block of statements; entries of a record among them are reported."""
        block, problems = read_block(braces)
        self.diagnostics.extend(problems)
        return block

    # --- statements

    def _build_braces(self, span: Span, children: Children) -> Braces:
        return Braces(tuple(children), span)

    def _build_assign(self, span: Span, children: Children) -> ast.Stmt:
        *path, value = children
        doc = self.take_doc(span)
        if len(path) == 1 and path[0].text == "user":
            return ast.UserStep(value, span, doc)
        return ast.Assign(tuple(path), value, doc, span)

    def _build_entry(self, span: Span, children: Children) -> ast.Entry:
        return ast.Entry(children[0], children[1], span)

    def _build_field(self, span: Span, children: Children) -> ast.FieldStmt:
        secret = isinstance(children[0], Token)
        name, type_, *value = children[1:] if secret else children
        doc = self.take_doc(span)
        return ast.FieldStmt(name, type_, secret, value[0] if value else None, doc, span)

    def _build_named(self, span: Span, children: Children) -> ast.NamedStmt:
        keyword = cast(Literal["split", "scenario", "stage"], str(children[0]))
        return ast.NamedStmt(keyword, children[1], children[2], self.take_doc(span), span)

    def _build_keep(self, span: Span, children: Children) -> ast.KeepStmt:
        subject, *name, condition = children
        doc = self.take_doc(span)
        return ast.KeepStmt(subject, name[0] if name else None, condition, doc, span)

    def _build_yields(self, span: Span, children: Children) -> ast.YieldsStmt:
        fields = tuple(child for child in children if isinstance(child, ast.YieldField))
        return ast.YieldsStmt(fields, span, self.take_doc(span))

    def _build_yield_field(self, span: Span, children: Children) -> ast.YieldField:
        is_open = isinstance(children[0], Token)
        name, type_ = children[1:] if is_open else children
        return ast.YieldField(name, type_, is_open, span, self.take_doc(span))

    def _build_assistant(self, span: Span, children: Children) -> ast.AssistantStep:
        name, *rest = children
        type_ = rest.pop(0) if rest and isinstance(rest[0], ast.TypeExpr) else None
        value = rest[0] if rest else None
        return ast.AssistantStep(name, type_, value, span, self.take_doc(span))

    def _build_assistant_type(self, span: Span, children: Children) -> ast.TypeExpr:
        return cast(ast.TypeExpr, children[0])

    def _build_for_step(self, span: Span, children: Children) -> ast.ForStep:
        variable, head, braces = children
        sequence = self.turn_path(head) if isinstance(head, tuple) else head
        block = self.read_block(braces)
        return ast.ForStep(variable, sequence, block, span, self.take_doc(span))

    def _build_example(self, span: Span, children: Children) -> ast.ExampleStmt:
        return ast.ExampleStmt(children[0], children[1], span, self.take_doc(span))

    def _build_expect(self, span: Span, children: Children) -> ast.ExpectStmt:
        return ast.ExpectStmt(children[0], span, self.take_doc(span))

    def _build_drop(self, span: Span, children: Children) -> ast.DropStmt:
        return ast.DropStmt(children[0], children[1], span, self.take_doc(span))

    def _build_group(self, span: Span, children: Children) -> ast.GroupBlock:
        keyword, *label, braces = children
        name = ast.Name(str(keyword), get_span(self.source, keyword))
        block = self.read_block(braces)
        doc = self.take_doc(span)
        return ast.GroupBlock(name, label[0] if label else None, block, doc, span)

    # --- declarations

    def _build_param(self, span: Span, children: Children) -> ast.Param:
        secret = isinstance(children[0], Token)
        name, type_ = children[1:] if secret else children
        return ast.Param(name, type_, secret, span)

    def _build_params(self, span: Span, children: Children) -> tuple[ast.Param, ...]:
        return tuple(children)

    def _build_negative_bound(self, span: Span, children: Children) -> ast.Unary:
        return ast.Unary("neg", children[0], span)

    def _build_reward_range(self, span: Span, children: Children) -> ast.Range:
        low, high = (self.turn_path(bound) if isinstance(bound, tuple) else bound for bound in children)
        return ast.Range(low, high, low.span.to(high.span))

    def _make_decl(self, span: Span, kind: ast.DeclKind, name: ast.Name, **parts: Any) -> ast.Decl:
        fields = {
            "params": (),
            "type": None,
            "range": None,
            "base": None,
            "value": None,
            "block": None,
            **parts,
        }
        return ast.Decl(kind, name, **fields, doc=self.take_doc(span), span=span)

    def _build_const_decl(self, span: Span, children: Children) -> ast.Decl:
        return self._make_decl(span, "const", children[0], value=children[1])

    def _build_model_decl(self, span: Span, children: Children) -> ast.Decl:
        return self._make_decl(span, "model", children[0], value=children[1])

    def _build_plain_decl(self, span: Span, children: Children) -> ast.Decl:
        kind, name, braces = children
        return self._make_decl(span, cast(ast.DeclKind, str(kind)), name, block=self.read_block(braces))

    def _build_params_decl(self, span: Span, children: Children) -> ast.Decl:
        kind, name, *params, braces = children
        return self._make_decl(
            span,
            cast(ast.DeclKind, str(kind)),
            name,
            params=params[0] if params else (),
            block=self.read_block(braces),
        )

    def _build_answer_decl(self, span: Span, children: Children) -> ast.Decl:
        name, type_, *braces = children
        block = self.read_block(braces[0]) if braces else None
        return self._make_decl(span, "answer", name, type=type_, block=block)

    def _build_reward_decl(self, span: Span, children: Children) -> ast.Decl:
        name, *parts, braces = children
        params = next((part for part in parts if isinstance(part, tuple)), ())
        range_ = next((part for part in parts if isinstance(part, ast.Range)), None)
        block = self.read_block(braces)
        return self._make_decl(span, "reward", name, params=params, range=range_, block=block)

    def _build_test_decl(self, span: Span, children: Children) -> ast.Decl:
        title = self.read_text(children[0])
        return self._make_decl(
            span, "test", ast.Name(title.value, title.span), block=self.read_block(children[1])
        )

    def _build_study_decl(self, span: Span, children: Children) -> ast.Decl:
        name, base, braces = children
        return self._make_decl(span, "study", name, base=base, block=self.read_block(braces))

    # --- files

    def _build_alias(self, span: Span, children: Children) -> Alias:
        return Alias(children[0])

    def _build_use_item(self, span: Span, children: Children) -> ast.UseItem:
        return ast.UseItem(children[0], children[1] if len(children) > 1 else None)

    def _build_use_items(self, span: Span, children: Children) -> UseItems:
        return UseItems(tuple(children))

    def _build_use(self, span: Span, children: Children) -> ast.Use:
        module = [child for child in children if isinstance(child, ast.Name)]
        path = children[0] if isinstance(children[0], Token) else None
        last = children[-1]
        items = last.items if isinstance(last, UseItems) else None
        alias = last.name if isinstance(last, Alias) else None
        if path is not None:
            text = self.read_text(path)
            target, target_span = text.value, text.span
        else:
            target = ".".join(part.text for part in module)
            target_span = module[0].span.to(module[-1].span)
        if items is not None and getattr(children[-2], "type", None) != "DOT":
            place = Span(self.source, target_span.end, target_span.end)
            fix = Fix("write `.`", (Edit(place, "."),), is_safe=True)
            self.report("syntax-error", "Expected `.` before the braces.", place, fix.title, fix)
        if items is None and alias is None:
            hint = "name what to import, `.{a, b}`, or a name for the whole, `as m`"
            self.report("syntax-error", "This `use` imports nothing.", span, hint)
        return ast.Use(target, path is not None, target_span, items, alias, span)

    def _build_header(self, span: Span, children: Children) -> Header:
        return Header(children[0], span)

    def _build_file(self, span: Span, children: Children) -> tuple[Header | ast.Use | ast.Decl, ...]:
        return tuple(child for child in children if not isinstance(child, Token))


class Alias(NamedTuple):
    """The name after `as`."""

    name: ast.Name


class UseItems(NamedTuple):
    """The names between the braces of a `use`."""

    items: tuple[ast.UseItem, ...]


def find_unused_docs(builder: TreeBuilder) -> tuple[Diagnostic, ...]:
    """Warnings for documentation that stands before nothing that can be documented."""
    unused = (doc for start, doc in builder.docs.items() if start not in builder.used_docs)
    return tuple(report_dangling_doc(doc.span) for doc in unused)
