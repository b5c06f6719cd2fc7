"""Frozen values with named fields: what everything between source and artifact is made of.

A `Record` is what a frozen slotted dataclass is, at a tenth of its cost at import: a `check` of one file makes a hundred of these
classes and uses a third of them, so `__init__` is written when a class has been used a few times, and nothing else is generated.
pydantic reads a Record as the dataclass that it looks like, wherever artifacts are validated or described.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


class _Factory:
    """A default that is made anew for every value."""

    __slots__ = ("make",)

    def __init__(self, make: Any) -> None:
        self.make = make


def field(*, default_factory: Any) -> Any:
    """A field whose default is made by `default_factory`, as `dict`."""
    return _Factory(default_factory)


class RecordType(type):
    """Makes the class: slots for its annotations, defaults kept beside."""

    record_fields: tuple[str, ...]
    record_defaults: dict[str, Any]
    is_keyword_only: bool
    is_guarded: bool

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kw_only: bool = False,
        guarded: bool = True,
    ) -> RecordType:
        """The class; `kw_only` as in a dataclass, and inherited.

        Not `guarded`, inherited as well: for values of which a file makes hundreds. Only the type checker then stops an assignment,
        which makes them a third cheaper.
        """
        annotations = namespace.get("__annotations__", {})
        own = [key for key, kind in annotations.items() if not str(kind).startswith("ClassVar")]
        inherited = [base for base in bases if isinstance(base, RecordType)]
        defaults = {key: value for base in inherited for key, value in base.record_defaults.items()}
        defaults.update({key: namespace.pop(key) for key in own if key in namespace})
        fields = tuple(dict.fromkeys([*(key for base in inherited for key in base.record_fields), *own]))
        # All of it before the class is made: each attribute that is set afterwards has a class look itself over again.
        namespace["__slots__"] = tuple(own)
        namespace["record_fields"] = fields
        namespace["record_defaults"] = defaults
        is_guarded = guarded and all(base.is_guarded for base in inherited)
        namespace["is_guarded"] = is_guarded
        if not is_guarded:
            namespace["__setattr__"], namespace["__delattr__"] = object.__setattr__, object.__delattr__
        namespace["is_keyword_only"] = kw_only or any(base.is_keyword_only for base in inherited)
        if bases:
            namespace["__init__"] = _init_rarely
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, *_: Any, **__: Any) -> None:
        pass

    @property
    def __match_args__(cls) -> tuple[str, ...]:
        return cls.record_fields

    @property
    def __dataclass_fields__(cls) -> dict[str, Any]:
        """What makes pydantic take the class for a dataclass; built when asked for."""
        return _describe_fields(cls)

    @property
    def __dataclass_params__(cls) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(
            init=True, repr=True, eq=True, order=False, unsafe_hash=False, frozen=True, slots=True
        )


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record(metaclass=RecordType):
    """Base of values: fields by position or keyword, equality and hash by value, no assignment."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot assign `{name}`")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot delete `{name}`")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).record_fields)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in type(self).record_fields)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).record_fields)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), {name: getattr(self, name) for name in type(self).record_fields})


def replace(value: T, /, **changes: Any) -> T:
    """A copy of a record with some fields changed.

    Raises:
        TypeError: there is no such field.
    """
    cls: Any = type(value)
    changed: T = _rebuild(cls, {name: getattr(value, name) for name in cls.record_fields} | changes)
    return changed


def get_fields(cls: type) -> tuple[str, ...]:
    """Names of a record class's fields in order."""
    assert isinstance(cls, RecordType), f"{cls} is no record"
    return cls.record_fields


def _rebuild(cls: Any, values: dict[str, Any]) -> Any:
    return cls(**values)


RARE = 30
"""So many values of a class are made field by field; from then on an `__init__` of its own is worth writing."""


_num_made: dict[type, int] = {}
"""Beside the classes: an attribute of a class that changes makes the interpreter forget all it knows of the class."""


def count_value(cls: type) -> bool:
    """Counts one more value of a class; whether there were few so far."""
    count = _num_made[cls] = _num_made.get(cls, 0) + 1
    return count <= RARE


def _init_rarely(self: Any, *args: Any, **kwargs: Any) -> None:
    """`__init__` until a class has proved to be in use. Wrong arguments are told by the one that is written."""
    cls: Any = type(self)
    fields = cls.record_fields
    if not count_value(cls) or (args and cls.is_keyword_only) or len(args) > len(fields):
        _init_with_own(self, args, kwargs)
        return
    left = len(kwargs)
    for name, value in zip(fields, args, strict=False):
        object.__setattr__(self, name, value)
    for name in fields[len(args) :]:
        if name in kwargs:
            value = kwargs[name]
            left -= 1
        elif name in cls.record_defaults:
            value = cls.record_defaults[name]
            if isinstance(value, _Factory):
                value = value.make()
        else:
            _init_with_own(self, args, kwargs)
            return
        object.__setattr__(self, name, value)
    if left:
        _init_with_own(self, args, kwargs)


def _init_with_own(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    cls: Any = type(self)
    cls.__init__ = _write_init(cls)
    cls.__init__(self, *args, **kwargs)


def _write_init(cls: RecordType) -> Any:
    """`__init__` that sets every slot, directly where a guarding `__setattr__` is in its way."""
    scope: dict[str, Any] = {"_Factory": _Factory}
    parameters, body = ["self"], []
    if cls.is_keyword_only and cls.record_fields:
        parameters.append("*")
    for name in cls.record_fields:
        if cls.is_guarded:
            scope[f"_set_{name}"] = getattr(cls, name).__set__
        if name in cls.record_defaults:
            default = cls.record_defaults[name]
            scope[f"_default_{name}"] = default
            parameters.append(f"{name}=_default_{name}")
            if isinstance(default, _Factory):
                body.append(f"    if {name} is _default_{name}: {name} = {name}.make()")
        else:
            parameters.append(name)
        body.append(f"    _set_{name}(self, {name})" if cls.is_guarded else f"    self.{name} = {name}")
    exec(f"def __init__({', '.join(parameters)}):\n" + ("\n".join(body) or "    pass"), scope)
    init = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _describe_fields(cls: RecordType) -> dict[str, Any]:
    import dataclasses

    found: dict[str, Any] = {}
    for name in cls.record_fields:
        owner = next(base for base in cls.__mro__ if name in _get_annotations(base))
        default = cls.record_defaults.get(name, dataclasses.MISSING)
        if isinstance(default, _Factory):
            one: Any = dataclasses.field(default_factory=default.make, kw_only=cls.is_keyword_only)
        else:
            one = dataclasses.field(default=default, kw_only=cls.is_keyword_only)
        one.name, one.type = name, _get_annotations(owner)[name]
        one._field_type = sys.modules["dataclasses"]._FIELD
        found[name] = one
    return found


def _get_annotations(cls: type) -> dict[str, Any]:
    """Of the class itself, as they are written."""
    found: dict[str, Any] = vars(cls).get("__annotations__", {})
    return found
