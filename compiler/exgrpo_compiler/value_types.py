"""Types of values in a spec, and which may stand where.

`any` is what a source column holds before it is mapped; it fits everywhere and is converted, or refused, row by row.
Units belong to numbers only: `tok`, `usd`, `s`, …
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from exgrpo_artifact.manifest import FieldType, RecordField
from exgrpo_artifact.record import Record

Kind = Literal["text", "number", "int", "bool", "any", "choice", "list", "record"]
SCALARS: tuple[Kind, ...] = ("text", "number", "int", "bool", "any")
"""Type names that take no argument."""


class Type(Record, guarded=False):
    """A type. `options` of a choice, `element` of a list, `fields` of a record, `unit` of a number."""

    kind: Kind
    options: tuple[str, ...] = ()
    element: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()
    unit: str | None = None
    title: str = ""
    """What a record is called in messages: "a row of `gsm8k`"."""
    is_written: bool = False
    """Whether a record's type is written out, `{ name: T }`; rows and probes have declarations."""
    is_open: bool = False
    """Whether a record may have more fields than are known, since its declaration is broken."""

    def __hash__(self) -> int:
        # Types are keys of what is remembered of templates: equal types have these in common, and few others do.
        return hash((self.kind, self.title, self.unit, len(self.fields)))

    def walk_fields(self, path: str) -> Iterator[tuple[str, Type]]:
        """This value at `path` and everything inside of it that is no list's, by the path to it: `row`, `row.a`."""
        yield path, self
        for name, type_ in self.fields:
            yield from type_.walk_fields(f"{path}.{name}")

    def get_field(self, name: str) -> Type | None:
        """Type of a record's field, or None."""
        found = next((type_ for field, type_ in self.fields if field == name), None)
        return ANY if found is None and self.is_open else found

    @property
    def field_names(self) -> tuple[str, ...]:
        """A record's fields in order."""
        return tuple(field for field, _ in self.fields)

    @property
    def is_number(self) -> bool:
        """Whether arithmetic works on it."""
        return self.kind in ("number", "int", "bool", "any")

    @property
    def is_text(self) -> bool:
        """Whether it is a text, or may turn out to be one."""
        return self.kind in ("text", "choice", "any")


TEXT = Type("text")
NUMBER = Type("number")
INT = Type("int")
BOOL = Type("bool")
ANY = Type("any")


def list_of(element: Type) -> Type:
    """`list[element]`."""
    return Type("list", element=element)


def describe_type(type_: Type) -> str:
    """The type as an author would write it, or a record's title.

    >>> describe_type(list_of(TEXT))
    'list[text]'
    """
    if type_.kind == "list" and type_.element is not None:
        return f"list[{describe_type(type_.element)}]"
    if type_.kind == "choice":
        return "choice(" + ", ".join(f'"{option}"' for option in type_.options) + ")"
    if type_.kind == "record" and type_.is_written:
        return "{ " + ", ".join(f"{name}: {describe_type(field)}" for name, field in type_.fields) + " }"
    if type_.kind == "record":
        return type_.title or "a record"
    return f"{type_.kind} in {type_.unit}" if type_.unit else type_.kind


def name_type(type_: Type) -> str:
    """The type with its article, inside a sentence.

    >>> name_type(INT)
    'an int'
    """
    shown = describe_type(type_)
    if type_.kind == "record":
        return f"a record {shown}" if type_.is_written else shown
    return f"{'an' if shown[0] in 'aeiou' else 'a'} {shown}"


def fits(actual: Type, due: Type) -> bool:
    """Whether a value of type `actual` may stand where `due` is expected. Units are compared elsewhere."""
    if "any" in (actual.kind, due.kind):
        return actual.kind != "record" and due.kind != "record"
    if due.kind == "number":
        return actual.kind in ("number", "int")
    if due.kind == "text":
        return actual.kind in ("text", "choice")
    if due.kind == "choice" and actual.kind == "choice":
        return set(actual.options) <= set(due.options)
    if due.kind == "list" and actual.kind == "list":
        return due.element is None or actual.element is None or fits(actual.element, due.element)
    if due.kind == "record" and actual.kind == "record":
        pairs = [(actual.get_field(name), field) for name, field in due.fields]
        return all(field is not None and fits(field, wanted) for field, wanted in pairs)
    return actual.kind == due.kind


def join_types(left: Type, right: Type) -> Type | None:
    """The type of a value that is one or the other, or None where they have nothing in common."""
    if fits(left, right):
        return right
    if fits(right, left):
        return left
    numeric = ("number", "int", "bool")
    if left.kind in numeric and right.kind in numeric:
        return Type("number", unit=left.unit or right.unit)
    if left.is_text and right.is_text:
        return TEXT
    return None


def to_field_type(type_: Type) -> FieldType:
    """The artifact's form of a type."""
    element = to_field_type(type_.element) if type_.element is not None else None
    fields = tuple(RecordField(name=name, type=to_field_type(field)) for name, field in type_.fields)
    return FieldType(kind=type_.kind, options=type_.options, element=element, fields=fields)
