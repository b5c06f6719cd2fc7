"""Whatever is wrong with a spec, `check` says what: it never raises, and never speaks of the grammar's terminals."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from benchmarks.slips import read_specs
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.terminals import read_grammar
from exgrpo_compiler.syntax.tokens import read_tokens
from exgrpo_dsl.loading import load_module
from tests.support.compiling import GSM8K
from tests.support.data import ROOT

_TERMINAL = re.compile(
    "|".join(rf"\b{name}\b" for name in re.findall(r"^([A-Z]+_[A-Z_]+)(?:\.-?\d+)?:", read_grammar(), re.M))
)
_SIGNS = '{}()[]"`=:,;|.%$#@\\\n€'


def check(text: str) -> tuple[Diagnostic, ...]:
    return check_spec(Source("spec.exg", text, "spec"), load_module).diagnostics


@cache
def list_texts() -> tuple[str, ...]:
    more = [(ROOT / "tests/compiler" / name).read_text("utf-8") for name in ("records.exg", "example.exg")]
    return (*read_specs().values(), *more)


@cache
def list_words() -> tuple[str, ...]:
    return tuple(token.text for text in list_texts() for token in read_tokens(Source("x", text, "x")).tokens)


def damage(text: str, chance: random.Random) -> str:
    """The text with up to six pieces of it replaced, left out or doubled."""
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.choice([0, 1, 1, 3, 10, 60]))
        put = chance.choice(
            [
                chance.choice(list_words()),
                " ".join(chance.choices(list_words(), k=4)),
                chance.choice(_SIGNS),
                "",
                text[start:end] * 2,
            ]
        )
        text = text[:start] + put + text[end:]
    return text


def draw_damaged(seed: int, count: int) -> Iterator[str]:
    chance = random.Random(seed)
    for _ in range(count):
        yield damage(chance.choice(list_texts()), chance)


def verify_words(found: Sequence[Diagnostic]) -> None:
    for item in found:
        said = " ".join([item.message, item.hint or "", *(label.text for label in item.labels)])
        assert not _TERMINAL.search(said), said
        assert item.message.endswith((".", "?", "!")), said


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_spec_gives_sentences(seed: int) -> None:
    for text in draw_damaged(seed, 50):
        verify_words(check(text))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_damaged_specs_give_sentences(seed: int) -> None:
    for text in draw_damaged(seed, 500):
        verify_words(check(text))


@pytest.mark.parametrize(
    ("written", "slip"),
    [
        ("probes: invert) {", "probs) {"),  # a loop without probes
        ("assistant final:", "assistant fina:"),  # a term that reads what is broken
        ("scenario partial", "scenario parial"),
        ("yields {", "yelds {"),
        ("field question: text", "field question: tekst"),
        ("budget      = 40usd", "price { inpt = 1usd; output = 2usd"),
        ("budget      = 40usd", "limits { requests = }"),
        ('hf("Qwen/Qwen2.5-7B-Instruct") {', "{} {"),
    ],
)
def test_what_needs_the_broken_part_is_silent_and_sound(written: str, slip: str) -> None:
    assert written in GSM8K
    found = check(GSM8K.replace(written, slip))
    assert found
    verify_words(found)
