"""What tokens cost: the spec's own `price`, else a table of the user's.

The table is TOML or JSON, model id to US dollars per million tokens; a model without a price has an unknown cost, never none:

    ["gpt-4.1-mini"]
    input = 0.40
    output = 1.60
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.errors import SourceError
from exgrpo_artifact.manifest import Model, Price

UNPAID = ("hf", "scratch", "replay")
"""Kinds of models that nobody sends a bill for."""


class Priced(NamedTuple):
    """A model's price and where it stands."""

    price: Price
    source: str
    """`spec`, `file`, or `local` for a model that costs no one anything per token."""


def read_prices(path: Path) -> dict[str, Price]:
    """The table in a file.

    Raises:
        SourceError: it cannot be read, or is no table of prices.
    """
    try:
        text = path.read_text("utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # of either parser, and of bytes that are no UTF-8
        raise SourceError(f"{path} is not the TOML or JSON that its name says: {error}.") from error
    if not isinstance(table, dict):
        raise SourceError(f"{path} holds no table of model ids.")
    return {name: _read_price(path, name, entry) for name, entry in table.items()}


def find_price(model: Model, table: Mapping[str, Price]) -> Priced | None:
    """The price of a model; the spec's own stands before the table's, since the budget is kept by it. None: unknown."""
    if model.kind in UNPAID:
        return Priced(Price(input=0.0, output=0.0), "local")
    if model.price is not None:
        return Priced(model.price, "spec")
    given = table.get(model.id or "")
    return None if given is None else Priced(given, "file")


def _read_price(path: Path, name: str, entry: Any) -> Price:
    wanted = ("input", "output")
    if not isinstance(entry, dict) or set(entry) != set(wanted):
        raise SourceError(f"{path}: `{name}` needs just `input` and `output`, US dollars per million tokens.")
    for key in wanted:
        value = entry[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0:
            raise SourceError(f"{path}: `{key}` of `{name}` is {value!r}, which is no price.")
    return Price(input=float(entry["input"]), output=float(entry["output"]))
