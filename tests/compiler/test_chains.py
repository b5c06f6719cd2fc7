"""Consts and terms that need each other: chains end, and what is named twice is read once."""

from __future__ import annotations

import time

import pytest

from tests.support.compiling import GSM8K, check


def count_ids(text: str) -> list[str]:
    return [item.id for item in check(text) if item.severity == "error"]


def write_consts(count: int, expression: str) -> str:
    chain = "".join(f"const c{n} = {expression.format(f'c{n + 1}')}\n" for n in range(count))
    return f"exg 1\n{chain}const c{count} = 1\n"


def write_terms(count: int, expression: str) -> str:
    chain = "".join(f"  t{n} = {expression.format(f't{n - 1}')}\n" for n in range(1, count + 1))
    return GSM8K.replace("  total   = outcome", f"  t0 = outcome\n{chain}  total   = 0 * t{count} + outcome")


@pytest.mark.parametrize("count", [90, 101, 500, 3000])
def test_a_long_chain_of_consts_is_a_diagnostic(count: int) -> None:
    found = count_ids(write_consts(count, "{}"))
    assert set(found) == ({"too-deep"} if count > 100 else set())


@pytest.mark.parametrize("count", [90, 300])
def test_a_long_chain_of_terms_is_a_diagnostic(count: int) -> None:
    chain = "".join(f"  t{n} = t{n + 1} + 0\n" for n in range(count))
    text = GSM8K.replace("  total   = outcome", f"{chain}  t{count} = outcome\n  total   = 0 * t0 + outcome")
    assert ("too-deep" in count_ids(text)) == (count > 100)


@pytest.mark.parametrize("write", [write_consts, write_terms])
def test_what_is_named_twice_is_read_once(write: object) -> None:
    """60 doublings are 2^60 readings where each is read anew, which no machine would finish."""
    begun = time.process_time()
    assert callable(write)
    check(write(60, "{0} + {0}"))
    assert time.process_time() - begun < 60


def test_a_circle_is_reported_once_however_it_is_entered() -> None:
    circle = "const a = b\nconst b = c\nconst c = a\n"
    assert count_ids(f"exg 1\nconst d = b\n{circle}const e = c + c\n") == ["const-cycle"]
