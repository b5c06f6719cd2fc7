"""`exgrpo graph` as Mermaid itself reads it: the same boxes, arrows and texts that were drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exgrpo_compiler.draw.diagram import Arrow, Box, Diagram
from exgrpo_compiler.draw.mermaid import render_mermaid
from tests.compiler.test_draw import HOSTILE, draw_all
from tests.support.cli import call_exgrpo
from tests.support.compiling import GSM8K, LESSONS
from tests.support.data import ROOT
from tests.support.node import read_mermaid

SHAPES = {"data": "cylinder", "model": "stadium", "judge": "stadium", "input": "stadium", "filter": "hexagon"}
WORDS = [
    *("end", "subgraph", "graph", "flowchart", "default", "click", "style", "class", "classDef", "direction", "o", "x"),
    *("#quot;", "#40;", "&amp;", "%% comment", "%%{init: {}}%%", "---", "-->", "a -- b", "`code`", "**bold**", "__init__"),
    *("$$x$$", "http://x.y/z", "fa:fa-car", "@{ shape: cyl }", ":::red", "äöü 界 \U0001f600 \u202e", "a\tb\\n", "<br/>", "~~~"),
    *("- list", "+ list", "1. list", "1) list", "# title", "> quote", HOSTILE),
]  # fmt: skip


def list_specs() -> list[Path]:
    """Every spec of the library and of the examples, the quickstart and the starters among them."""
    return sorted([*(ROOT / "specs").rglob("*.exg"), *(ROOT / "tests").rglob("*.exg")])


def clean(text: str) -> str:
    """A text as it is drawn: what cannot be printed is a replacement character."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def describe(diagram: Diagram) -> tuple[list[object], list[object]]:
    """What should be read of a diagram: texts and shapes of its boxes, and which are joined by what."""
    texts = {
        box.id: [f"{box.title} ({box.note})" if box.note else box.title, *box.lines] for box in diagram.boxes
    }
    boxes: list[object] = [
        ("\n".join(clean(line) for line in texts[box.id]), SHAPES.get(box.kind, "square"))
        for box in diagram.boxes
    ]
    arrows: list[object] = [
        (clean(texts[arrow.source][0]), clean(texts[arrow.target][0]), clean(arrow.label), "dotted" if arrow.is_dashed else "normal")
        for arrow in diagram.arrows
    ]  # fmt: skip
    return boxes, arrows


def strip_marks(text: str) -> str:
    """Without the spaces that keep a line from being an item of a list."""
    return re.sub("(?m)^\u200b", "", text)


def assert_read_as_drawn(diagrams: list[Diagram]) -> None:
    (read,) = read_mermaid([render_mermaid(diagrams)])
    assert "error" not in read, read["error"]
    texts = {node["id"]: strip_marks(node["text"]) for node in read["nodes"]}
    wanted = [describe(diagram) for diagram in diagrams]
    assert [(texts[node["id"]], node["shape"]) for node in read["nodes"]] == [
        box for boxes, _ in wanted for box in boxes
    ]
    assert [
        (texts[one["start"]].split("\n")[0], texts[one["end"]].split("\n")[0], strip_marks(one["text"]), one["stroke"])
        for one in read["arrows"]
    ] == [arrow for _, arrows in wanted for arrow in arrows]  # fmt: skip
    assert [strip_marks(group["title"]) for group in read["groups"]] == [
        f"{clean(diagram.title)}: {clean(diagram.subtitle)}" for diagram in diagrams
    ]


@pytest.mark.parametrize("text", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_what_is_drawn_is_what_is_read(text: str) -> None:
    assert_read_as_drawn(draw_all(text))


def test_no_text_is_read_as_syntax() -> None:
    boxes = tuple(
        Box(f"b{at}", "data" if at % 2 else "term", word, (word,), word) for at, word in enumerate(WORDS)
    )
    arrows = tuple(
        Arrow(f"b{at}", f"b{at + 1}", word, is_dashed=at % 3 == 0) for at, word in enumerate(WORDS[:-1])
    )
    assert_read_as_drawn(
        [Diagram("end", "subgraph", boxes, arrows), Diagram(HOSTILE, HOSTILE, boxes[:2], ())]
    )


def test_every_spec_of_the_library_and_the_examples_is_a_flow_chart(tmp_path: Path) -> None:
    specs = list_specs()
    assert len(specs) >= 9
    drawn = {spec: call_exgrpo("graph", spec, cwd=tmp_path) for spec in specs}
    charts = {spec: called.out for spec, called in drawn.items() if called.code == 0}
    others = {spec.name for spec in specs if spec not in charts}
    assert others == {"rules.exg", "example.exg"}, "without a task and a reward, or not meant to be right"
    for spec, read in zip(charts, read_mermaid(list(charts.values())), strict=True):
        assert "error" not in read, f"{spec}: {read['error']}"
        assert read["nodes"], spec
