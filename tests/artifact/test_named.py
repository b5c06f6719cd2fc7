"""Tuples with named fields do what those of `typing` do."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import RARE


class Place(NamedTuple):
    """Where something stands."""

    line: int
    column: int = 1
    name: str = "here"

    def describe(self) -> str:
        return f"{self.name} {self.line}:{self.column}"


class Model(typing.NamedTuple):
    """What it is held against."""

    line: int
    column: int = 1
    name: str = "here"


CALLS: list[tuple[tuple[object, ...], dict[str, object]]] = [
    ((1, 2, "a"), {}),
    ((1,), {}),
    ((1,), {"name": "b"}),
    ((), {"line": 3, "column": 4}),
]


@pytest.mark.parametrize("count", [1, RARE + 2])
@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_values_are_those_of_a_tuple_of_typing(
    count: int, args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    for _ in range(count):
        made = Place(*args, **kwargs)  # type: ignore[arg-type]
    model = Model(*args, **kwargs)  # type: ignore[arg-type]
    assert tuple(made) == tuple(model)
    assert (made.line, made.column, made.name) == (model.line, model.column, model.name)
    assert repr(made) == repr(model).replace("Model", "Place")
    assert made == model
    assert hash(made) == hash(model)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, "a", 4), {}), ((1,), {"line": 2}), ((1,), {"row": 2})]
)
def test_wrong_arguments_are_refused_as_those_of_a_function(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    with pytest.raises(TypeError, match="argument"):
        Place(*args, **kwargs)  # type: ignore[arg-type]


def test_values_are_replaced_copied_pickled_and_matched() -> None:
    place = Place(1, 2)
    assert place._replace(line=7) == (7, 2, "here")
    assert copy.copy(place) == place
    assert pickle.loads(pickle.dumps(place)) == place
    assert place.describe() == "here 1:2"
    match place:
        case Place(line, column):
            assert (line, column) == (1, 2)
    with pytest.raises(AttributeError):
        place.line = 3  # type: ignore[misc]


def test_a_field_without_a_default_may_not_follow_one_that_has_one() -> None:
    with pytest.raises(TypeError, match="follows one that has one"):
        type(NamedTuple)("Wrong", (NamedTuple,), {"__annotations__": {"a": int, "b": int}, "a": 1})
