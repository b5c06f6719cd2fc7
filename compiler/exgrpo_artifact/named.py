"""Tuples with named fields, as `typing.NamedTuple` and checked as such, at a fifth of its cost at import.

A `check` of one file makes sixty of these classes. `typing.NamedTuple` compiles each annotation and evaluates a constructor for each
class; here annotations stay text, and a constructor is written when a class has been used a few times.
"""

from __future__ import annotations

from _collections import _tuplegetter  # type: ignore[import-not-found]

from exgrpo_artifact.record import count_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as NamedTuple
else:
    Any = object

    class _NamedTupleType(type):
        """Makes the class: a tuple with a getter for each annotation."""

        def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
            """The class; its fields in the order of their annotations, defaults last."""
            if not bases:
                return type.__new__(mcs, name, (tuple,), {**namespace, "__slots__": ()})
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace[field] for field in fields if field in namespace}
            if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                raise TypeError(f"{name}: a field without a default follows one that has one")
            for index, field in enumerate(fields):
                namespace[field] = _tuplegetter(index, f"Field number {index}.")
            namespace["__slots__"] = ()
            namespace["__match_args__"] = namespace["_fields"] = fields
            namespace["_field_defaults"] = defaults
            namespace["__new__"] = _new_rarely
            return type.__new__(mcs, name, bases, namespace)

    class NamedTuple(metaclass=_NamedTupleType):
        """Base of tuples with named fields."""

        def _replace(self, /, **changes: Any) -> Any:
            cls = type(self)
            return cls(**{**dict(zip(cls._fields, self, strict=True)), **changes})

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(type(self)._fields, self, strict=True))

        def __repr__(self) -> str:
            shown = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({shown})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)


def _new_rarely(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    """`__new__` until a class has proved to be in use. Wrong arguments are told by the one that is written."""
    if not kwargs and len(args) == len(cls._fields) and count_value(cls):
        return tuple.__new__(cls, args)
    cls.__new__ = _write_new(cls)
    return cls(*args, **kwargs)


def _write_new(cls: Any) -> Any:
    scope = {f"_default_{name}": value for name, value in cls._field_defaults.items()}
    parameters = [f"{name}=_default_{name}" if name in cls._field_defaults else name for name in cls._fields]
    values = "".join(f"{name}, " for name in cls._fields)
    scope["_make"] = tuple.__new__
    code = f"lambda _cls, {', '.join(parameters)}: _make(_cls, ({values}))"
    new = eval(code, scope)
    new.__name__, new.__qualname__ = "__new__", f"{cls.__qualname__}.__new__"
    return new
