"""Values that know that they are secret, and say so wherever they are printed.

A secret value behaves as the value that it is, in conditions, arithmetic and filters; turned into text it puts marks around
itself. The marks are private characters that no text keeps, so rendered text can be split into what is secret and what is not,
whatever the template did in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exgrpo_artifact.manifest import FieldType
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.operations import FUNCTIONS
from exgrpo_runtime.templates import TemplateSet

_OPEN, _NAMED, _CLOSE, _HOLE = "\ue000", "\ue001", "\ue002", "\ue003"


class Part(NamedTuple):
    """A piece of a rendered text. `secret` names the field that it comes from, None for what is open."""

    text: str
    secret: str | None = None


class SecretText(str):
    """A text that is secret."""

    path: str

    def __str__(self) -> str:
        return mark_text(str.__str__(self), self.path)

    def __repr__(self) -> str:
        return mark_text(str.__repr__(self), self.path)

    def __format__(self, spec: str) -> str:
        return mark_text(str.__format__(str.__str__(self), spec), self.path)

    def __add__(self, other: str) -> str:
        return str(self) + str(other)

    def __radd__(self, other: str) -> str:
        return str(other) + str(self)

    def __getitem__(self, key: Any) -> str:
        return _make_text(str.__getitem__(self, key), self.path)


class ShownNumber(float):
    """A number that prints as a given text: a secret one between marks, a placeholder as its name."""

    shown: str

    def __str__(self) -> str:
        return self.shown

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return self.shown


def mark_text(text: str, path: str) -> str:
    """The text between marks; marks inside it, of the same field or another, are not nested."""
    hole = _HOLE if _HOLE in text else ""
    return f"{_OPEN}{path}{_NAMED}{hole}{strip_marks(text)}{_CLOSE}"


def strip_marks(text: str) -> str:
    """The text as it would be without marks."""
    return "".join(part.text for part in split_parts(text))


def split_parts(text: str) -> tuple[Part, ...]:
    """A rendered text in pieces, neighbours of one kind joined."""
    parts: list[Part] = []
    rest = text.replace(_HOLE, "")
    while rest:
        plain, found, rest = rest.partition(_OPEN)
        if plain:
            parts.append(Part(plain))
        if not found:
            break
        path, _, rest = rest.partition(_NAMED)
        inner, _, rest = rest.partition(_CLOSE)
        if inner:
            parts.append(Part(inner, path))
    return tuple(parts)


def make_secret(value: Any, path: str) -> Any:
    """The value, secret; a list's items and a record's fields are secret one by one."""
    if isinstance(value, str):
        return _make_text(value, path)
    if isinstance(value, int | float):  # a truth value too: to conditions 1 and 0 are the same
        return _make_number(value, mark_text(str(value), path))
    if isinstance(value, list | tuple):
        return [make_secret(item, path) for item in value]
    if isinstance(value, Mapping):
        return {name: make_secret(item, f"{path}.{name}") for name, item in value.items()}
    return value


def make_placeholder(type_: FieldType, path: str) -> Any:
    """What stands for a value that is not there yet: «probe.question», of the kind that the template expects."""
    kind = type_.kind
    if kind == "record":
        return {one.name: make_placeholder(one.type, f"{path}.{one.name}") for one in type_.fields}
    if kind in ("number", "int"):
        return _make_number(0, f"{_HOLE}«{path}»")
    if kind == "list":
        return [make_placeholder(type_.element or FieldType(kind="any"), path)]
    if kind == "bool":
        return True
    return f"{_HOLE}«{path}»"


def clean_value(value: Any) -> Any:
    """A value from outside without the characters that marks are made of."""
    if isinstance(value, str):
        return value.translate({ord(char): "\ufffd" for char in (_OPEN, _NAMED, _CLOSE, _HOLE)})
    if isinstance(value, list | tuple):
        return [clean_value(item) for item in value]
    if isinstance(value, Mapping):
        return {name: clean_value(item) for name, item in value.items()}
    return value


def find_secret(args: Sequence[Any]) -> str | None:
    """The field that one of the values comes from, where one is secret."""
    for arg in args:
        if isinstance(arg, SecretText):
            return arg.path
        if isinstance(arg, str) and _OPEN in arg:
            return next(part.secret for part in split_parts(arg) if part.secret)
        if isinstance(arg, ShownNumber) and _OPEN in arg.shown:
            return next(part.secret for part in split_parts(arg.shown) if part.secret)
        if isinstance(arg, list | tuple) and (found := find_secret(arg)) is not None:
            return found
    return None


def open_templates(prompts: Mapping[str, str]) -> TemplateSet:
    """Templates whose filters keep secrets secret: what is made of a secret is one."""
    return TemplateSet(prompts, _keep_secret)


def _keep_secret(function: Callable[..., Any]) -> Callable[..., Any]:
    if function is FUNCTIONS["declassify"]:
        return lambda value, *_, **__: _make_plain(value)

    def apply(*args: Any, **kwargs: Any) -> Any:
        if args and _is_placeholder(args[0]):
            return args[0]  # what is made of something unknown is as unknown
        path = find_secret([*args, *kwargs.values()])
        if path is None:
            return function(*args, **kwargs)
        plain = [_make_plain(arg) for arg in args]
        return make_secret(function(*plain, **{name: _make_plain(arg) for name, arg in kwargs.items()}), path)

    return apply


def _is_placeholder(value: Any) -> bool:
    if isinstance(value, ShownNumber):
        return _HOLE in value.shown
    return isinstance(value, str) and _HOLE in str.__str__(value)


def _make_plain(value: Any) -> Any:
    if isinstance(value, SecretText):
        return str.__str__(value)
    if isinstance(value, str):
        return strip_marks(value)
    if isinstance(value, ShownNumber):
        return int(value) if value.is_integer() else float(value)
    return [_make_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _make_text(text: str, path: str) -> SecretText:
    secret = SecretText(text)
    secret.path = path
    return secret


def _make_number(value: float, shown: str) -> ShownNumber:
    number = ShownNumber(value)
    number.shown = shown
    return number
