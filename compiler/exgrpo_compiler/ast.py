"""The syntax tree of a spec: what was written, with spans, nothing resolved.

Surface shapes are few on purpose: every block holds statements, and which statements belong in which declaration is
decided by `resolve`, so that a misplaced one gets a sentence about the declaration and not about the grammar.
"""

from __future__ import annotations

from typing import Literal

from exgrpo_artifact import record
from exgrpo_compiler.source import Source, Span


class Node(record.Record, guarded=False):
    """A piece of the tree."""


class Name(Node):
    """An identifier."""

    text: str
    span: Span


# --- expressions ------------------------------------------------------------------------------------------


class Number(Node):
    """A numeric literal. `unit` is `tok usd s % GiB …` as written, or None."""

    value: float
    is_int: bool
    unit: str | None
    text: str
    span: Span


class Bool(Node):
    """`true` or `false`."""

    value: bool
    span: Span


class Text(Node):
    """A string.

    `value` has escapes resolved (`"…"`), or the margin removed (`\"\"\"…\"\"\"`), or is raw (backticks).
    `offsets[i]` is the source offset of `value[i]`; it has one entry more, the offset of the end.
    """

    value: str
    style: Literal["quoted", "block", "raw"]
    offsets: tuple[int, ...]
    span: Span


class Ref(Node):
    """A bare name used as a value."""

    name: str
    span: Span


class Attribute(Node):
    """`value.name`."""

    value: Expr
    name: Name
    span: Span


class Argument(Node):
    """An argument of a call, `name: value` or positional."""

    name: Name | None
    value: Expr
    span: Span


class Call(Node):
    """`function(arguments)`. `where` and `otherwise` only in aggregates: `mean(x where cond else 0)`."""

    function: Expr
    arguments: tuple[Argument, ...]
    where: Expr | None
    otherwise: Expr | None
    span: Span


class Pipe(Node):
    """`value | function` or `value | function(arguments)`."""

    value: Expr
    function: Expr
    arguments: tuple[Argument, ...]
    span: Span


class Unary(Node):
    """`-x` or `not x`."""

    op: Literal["neg", "not"]
    value: Expr
    span: Span


class Binary(Node):
    """`left op right`; op is an artifact op: add sub mul div and or."""

    op: Literal["add", "sub", "mul", "div", "and", "or"]
    left: Expr
    right: Expr
    span: Span


class Compare(Node):
    """`a < b <= c`: operands one more than ops (eq ne lt le gt ge)."""

    operands: tuple[Expr, ...]
    ops: tuple[Literal["eq", "ne", "lt", "le", "gt", "ge"], ...]
    span: Span


class Conditional(Node):
    """`then if condition else otherwise`."""

    condition: Expr
    then: Expr
    otherwise: Expr
    span: Span


class Default(Node):
    """`value else otherwise`: otherwise where value is not-applicable."""

    value: Expr
    otherwise: Expr
    span: Span


class Range(Node):
    """`low..high`, inclusive."""

    low: Expr
    high: Expr
    span: Span


class ListExpr(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]
    span: Span


class Entry(Node):
    """`key: value` of a record."""

    key: Name
    value: Expr
    span: Span


class Record(Node):
    """`{ key: value, … }`; `tag` names its kind in `full { final: "…" }`."""

    tag: Expr | None
    entries: tuple[Entry, ...]
    span: Span


class Configured(Node):
    """`value { statements }`: an expression with a block of settings, as `openai("x") { temperature = 0.8 }`."""

    value: Expr
    block: Block
    span: Span


Expr = (
    Number
    | Bool
    | Text
    | Ref
    | Attribute
    | Call
    | Pipe
    | Unary
    | Binary
    | Compare
    | Conditional
    | Default
    | Range
    | ListExpr
    | Record
    | Configured
)


# --- types ------------------------------------------------------------------------------------------------


class RecordField(Node):
    """`name: type` of a record type."""

    name: Name
    type: TypeExpr
    span: Span


class TypeExpr(Node):
    """`text`, `number.last`, `choice("A", "B")`, `regex(`…`)`, `list[T]`: dotted name, arguments, element.

    `{ name: type, … }` is a record: its name is `record`, which cannot be written, and `fields` is no None.
    """

    name: str
    arguments: tuple[Argument, ...]
    element: TypeExpr | None
    span: Span
    fields: tuple[RecordField, ...] | None = None


# --- statements -------------------------------------------------------------------------------------------


class Assign(Node):
    """`path = value`; the path is one name everywhere but in a study's variants (`train.group = …`)."""

    path: tuple[Name, ...]
    value: Expr
    doc: str
    span: Span


class FieldStmt(Node):
    """`[secret] field name: type [= value]`."""

    name: Name
    type: TypeExpr
    secret: bool
    value: Expr | None
    doc: str
    span: Span


class NamedStmt(Node):
    """`split | scenario | stage name = value`."""

    keyword: Literal["split", "scenario", "stage"]
    name: Name
    value: Expr
    doc: str
    span: Span


class KeepStmt(Node):
    """`keep subject [name] where condition`."""

    subject: Name
    name: Name | None
    condition: Expr
    doc: str
    span: Span


class YieldField(Node):
    """`[open] name: type`."""

    name: Name
    type: TypeExpr
    open: bool
    span: Span
    doc: str = ""


class YieldsStmt(Node):
    """`yields { … }`."""

    fields: tuple[YieldField, ...]
    span: Span
    doc: str = ""


class UserStep(Node):
    """`user = "…"`."""

    value: Expr
    span: Span
    doc: str = ""


class AssistantStep(Node):
    """`assistant name[: type] [= "…"]`."""

    name: Name
    type: TypeExpr | None
    value: Expr | None
    span: Span
    doc: str = ""


class ForStep(Node):
    """`for variable in sequence { steps }`."""

    variable: Name
    sequence: Expr
    block: Block
    span: Span
    doc: str = ""


class ExampleStmt(Node):
    """`example "question" -> "probe"`."""

    question: Expr
    probe: Expr
    span: Span
    doc: str = ""


class ExpectStmt(Node):
    """`expect condition`."""

    condition: Expr
    span: Span
    doc: str = ""


class GroupBlock(Node):
    """`name { … }` without `=`: `lora { … }`, `price { … }`, `limits { … }`, `variant name { … }` has `label`."""

    keyword: Name
    label: Name | None
    block: Block
    doc: str
    span: Span


class DropStmt(Node):
    """`drop kind name`, as `drop stage train`."""

    kind: Name
    name: Name
    span: Span
    doc: str = ""


Stmt = (
    Assign
    | FieldStmt
    | NamedStmt
    | KeepStmt
    | YieldsStmt
    | UserStep
    | AssistantStep
    | ForStep
    | ExampleStmt
    | ExpectStmt
    | GroupBlock
    | DropStmt
)


class Block(Node):
    """`{ statements }`."""

    statements: tuple[Stmt, ...]
    span: Span


# --- declarations -----------------------------------------------------------------------------------------


class Param(Node):
    """`[secret] name: type`."""

    name: Name
    type: TypeExpr
    secret: bool
    span: Span


class UseItem(Node):
    """`a` or `a as b`."""

    name: Name
    alias: Name | None


class Use(Node):
    """`use pkg.module.{a, b as c}`, `use pkg.module as m`, `use "./file.exg".{x}`.

    `target` is the dotted module or the path; `items` is None for a whole-module `use … as alias`.
    """

    target: str
    is_path: bool
    target_span: Span
    items: tuple[UseItem, ...] | None
    alias: Name | None
    span: Span


DeclKind = Literal[
    "const",
    "dataset",
    "rule",
    "probes",
    "dialogue",
    "answer",
    "rubric",
    "reward",
    "model",
    "task",
    "test",
    "study",
]


class Decl(Node):
    """Every declaration but `use`. Parts that a kind does not have are None or empty.

    const: value · dataset, rubric, task: block · rule, probes, dialogue: params, block · answer: type, block ·
    reward: params, range, block · model: value (with its settings block as `Configured`) ·
    test: name holds its title, block · study: base, block.
    """

    kind: DeclKind
    name: Name
    params: tuple[Param, ...]
    type: TypeExpr | None
    range: Expr | None
    base: Name | None
    value: Expr | None
    block: Block | None
    doc: str
    span: Span
    is_damaged: bool = False
    """A syntax error was reported inside: what seems to be missing may have been written."""


class Comment(Node):
    """`// text`, kept for the formatter and for silences."""

    text: str
    span: Span


class SpecFile(Node):
    """One parsed file. `edition` is None where the header is missing (a diagnostic was given)."""

    source: Source
    edition: int | None
    uses: tuple[Use, ...]
    decls: tuple[Decl, ...]
    comments: tuple[Comment, ...]
    lost_names: frozenset[str] = frozenset()
    """Names that stood in text which could not be read; that they are unknown is no second mistake."""
