"""Records: what every value between source and artifact is."""

from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar, Literal

import pytest

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.graph import Frozen
from exgrpo_artifact.record import Record, field, get_fields, replace
from exgrpo_artifact.validation import MalformedError, describe_schema, validate_json, validate_plain


class Point(Record):
    """Two numbers."""

    x: int
    y: int = 0


class Named(Point):
    """A point with a name."""

    name: str = "origin"


class Leaf(Frozen):
    """A leaf of the tree."""

    kind: Literal["leaf"] = "leaf"
    weight: float


class Tree(Frozen):
    """A tree of any depth."""

    kind: Literal["tree"] = "tree"
    left: Leaf | Tree
    right: Leaf | Tree | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def test_fields_are_taken_by_position_or_by_name() -> None:
    assert Point(1, 2) == Point(x=1, y=2) == Point(1, y=2)
    assert Point(1) == Point(1, 0)
    assert Named(1, 2, "here").name == "here"
    assert get_fields(Named) == ("x", "y", "name")


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)])
def test_wrong_arguments_are_type_errors(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError):
        Point(*arguments)


def test_an_unknown_name_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        replace(Point(1), z=1)


def test_contract_records_take_names_only() -> None:
    with pytest.raises(TypeError):
        Leaf(1.0)  # type: ignore[misc]


def test_records_are_frozen() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_records_are_compared_and_hashed_by_value_and_type() -> None:
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != (1, 2)
    assert Named(1, 2) != Point(1, 2)
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_made_default_is_made_anew() -> None:
    first, second = Tree(left=Leaf(weight=1.0)), Tree(left=Leaf(weight=1.0))
    assert first.notes == {}
    assert first.notes is not second.notes


def test_replace_leaves_the_original_alone() -> None:
    point = Point(1, 2)
    assert (replace(point, x=5), point) == (Point(5, 2), Point(1, 2))


def test_records_survive_pickle_and_deep_copies() -> None:
    tree = Tree(left=Leaf(weight=1.0), notes={"a": [1]})
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert copy.deepcopy(tree) == tree


def test_records_match_patterns() -> None:
    match Named(1, 2, "here"):
        case Named(x, y, name):
            assert (x, y, name) == (1, 2, "here")
        case _:
            pytest.fail("a record matches its own class")


def test_repr_reads_as_the_call() -> None:
    assert repr(Point(1)) == "Point(x=1, y=0)"


def test_plain_values_are_read_back_with_their_types() -> None:
    tree = Tree(left=Tree(left=Leaf(weight=1), right=Leaf(weight=2)), notes={"a": [1, None]})
    back = validate_plain(Tree, to_plain(tree))
    assert back == tree
    assert isinstance(back.left, Tree)
    assert isinstance(back.left.left, Leaf)
    assert isinstance(back.left.left.weight, float), "JSON cannot tell 1 from 1.0; the reader can"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"left": {"weight": "x"}}', "left"),
        ('{"left": {"kind": "leaf", "weight": 1, "colour": 2}}', "left"),
        ("{}", "left"),
        ("[]", ""),
        ("{", ""),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(MalformedError, match=f"at `{where}"):
        validate_json(Tree, text)


def test_the_schema_names_the_records_and_closes_them() -> None:
    schema = describe_schema(Tree)
    leaf = schema["$defs"]["Leaf"]
    assert leaf["description"] == "A leaf of the tree."
    assert (leaf["additionalProperties"], leaf["required"]) == (False, ["weight"])


def test_class_variables_are_no_fields() -> None:
    class Counted(Frozen):
        """Has a constant of its class."""

        total: ClassVar[int] = 3
        x: int

    assert get_fields(Counted) == ("x",)
    assert Counted.total == 3
