"""Diagrams: what is drawn, that no box stands on another, that the forms are valid whatever a spec is called."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from exgrpo_compiler.draw.as_json import build_reward
from exgrpo_compiler.draw.diagram import Arrow, Box, Diagram, wrap_line
from exgrpo_compiler.draw.layout import place_diagram
from exgrpo_compiler.draw.mermaid import render_mermaid
from exgrpo_compiler.draw.pipeline import draw_pipeline
from exgrpo_compiler.draw.reward import draw_reward, infer_reward
from exgrpo_compiler.draw.svg import render_svg
from exgrpo_compiler.lower.task import lower_task
from exgrpo_compiler.program import Key
from tests.support.compiling import GSM8K, LESSONS
from tests.support.testing import check_program

HOSTILE = '</text><script>alert("1")</script> [x] {y} |z| ]]> & "q" \x07'


def draw_all(text: str) -> list[Diagram]:
    """The pipeline and the rewards of a spec."""
    program = check_program(text)
    (task,) = program.tasks
    lowered = lower_task(program, task)
    rewards = [Key("spec.exg", name) for name in lowered.rewards]
    return [draw_pipeline(lowered), *(draw_reward(program, key) for key in rewards)]


def make_grid(width: int, height: int) -> Diagram:
    """Columns of boxes, each pointing to all of the next, and to some further on."""
    boxes = tuple(
        Box(f"{x}_{y}", "term", f"box {x} {y}", ("a line",) * (y % 3))
        for x in range(width)
        for y in range(height)
    )
    arrows = tuple(
        Arrow(f"{x}_{y}", f"{to}_{z}")
        for x in range(width)
        for y in range(height)
        for to in range(x + 1, width)
        for z in range(height)
        if to == x + 1 or (y + z + to) % 3 == 0
    )
    return Diagram("grid", "", boxes, arrows)


@pytest.mark.parametrize("text", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_no_box_stands_on_another_and_arrows_point_right(text: str) -> None:
    for diagram in [*draw_all(text), make_grid(5, 4)]:
        layout = place_diagram(diagram)
        for one, other in itertools.combinations(layout.frames.values(), 2):
            is_beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            is_above = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert is_beside or is_above
        for route in layout.routes:
            xs = [x for x, _ in route.points]
            assert xs == sorted(xs)
        assert all(
            frame.y >= 0 and frame.y + frame.height <= layout.height for frame in layout.frames.values()
        )


def test_long_arrows_pass_between_boxes_and_not_through_them() -> None:
    layout = place_diagram(make_grid(5, 4))
    for route in layout.routes:
        for x, y in route.points[1:-1]:
            inside = [
                frame
                for frame in layout.frames.values()
                if frame.x < x < frame.x + frame.width and frame.y < y < frame.y + frame.height
            ]
            assert inside == []


def test_the_pipeline_shows_data_models_stages_and_filters() -> None:
    pipeline = draw_all(GSM8K)[0]
    titles = [box.title for box in pipeline.boxes]
    assert titles == [
        "gsm8k",
        "student",
        "probe",
        "teacher tutor",
        "keep consistent",
        "keep in_reach",
        "warmup",
        "train",
        "reward exgrpo",
        "test",
    ]
    pairs = {(arrow.source, arrow.target) for arrow in pipeline.arrows}
    assert ("stage_probe_keep_in_reach", "stage_warmup") in pairs
    assert ("stage_warmup", "stage_train") in pairs
    assert ("stage_train", "stage_test") in pairs
    assert ("reward_exgrpo", "stage_train") in pairs
    assert ("model_student", "stage_probe_keep_in_reach") in pairs, (
        "the filter asks the student as it is then"
    )
    assert ("model_student", "stage_probe_keep_consistent") not in pairs


def test_a_reward_shows_each_term_with_formula_level_and_interval() -> None:
    boxes = {box.title: box for box in draw_all(GSM8K)[1].boxes}
    assert boxes["bonus"].lines == ("0.5 if p_full > 1.0 * p_part else 0", "in {0, 0.5}")
    assert boxes["bonus"].note == "group"
    assert boxes["total"].lines[-1] == "in {0, 1, 1.5}"
    assert boxes["item.gold"].kind == "input"


def test_a_judge_is_an_input_of_the_term_that_asks_it() -> None:
    reward = draw_all(LESSONS)[1]
    assert ("judge_judge_model", "term_clarity") in {(one.source, one.target) for one in reward.arrows}


@pytest.mark.parametrize("text", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_svg_is_well_formed_and_needs_nothing_from_elsewhere(text: str) -> None:
    svg = render_svg(draw_all(text))
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"href|url\(|<image|<script", svg)
    assert render_svg(draw_all(text)) == svg


def test_names_of_a_spec_are_never_markup() -> None:
    diagram = Diagram(
        HOSTILE,
        HOSTILE,
        (Box("a", "term", HOSTILE, (HOSTILE,), HOSTILE), Box("b", "data", "b")),
        (Arrow("a", "b", HOSTILE),),
    )
    svg = render_svg([diagram])
    ElementTree.fromstring(svg)
    assert "<script" not in svg
    mermaid = render_mermaid([diagram])
    assert mermaid.count('"') == 2 * len(re.findall(r'"[^"]*"', mermaid))
    inside = re.findall(r'"([^"]*)"', mermaid)
    assert all(not re.search(r"[\[\]{}|&]", re.sub("<br/>", "", text)) for text in inside)
    assert "script>" not in mermaid


def test_a_line_of_a_formula_is_no_list() -> None:
    diagram = Diagram("t", "s", (Box("a", "term", "a", ("outcome", "- p_full", "-1 * x", "0.5 * x")),), ())
    assert 'n0["a<br/>outcome<br/>#8203;- p_full<br/>-1 #42; x<br/>0.5 #42; x"]' in render_mermaid([diagram])


def test_mermaid_has_a_line_for_each_box_and_arrow() -> None:
    diagrams = draw_all(GSM8K)
    lines = render_mermaid(diagrams).splitlines()
    assert lines[0] == "flowchart LR"
    node = re.compile(r'    n\d+(\["|\[\("|\(\["|\{\{").*("\]|"\)\]|"\]\)|"\}\})$')
    arrow = re.compile(r'    n\d+ (-->|-\.->)(\|"[^"]*"\|)? n\d+$')
    assert sum(bool(node.match(line)) for line in lines) == sum(len(one.boxes) for one in diagrams)
    assert sum(bool(arrow.match(line)) for line in lines) == sum(len(one.arrows) for one in diagrams)
    assert lines.count("  end") == len(diagrams)


def test_every_node_of_a_reward_has_its_interval() -> None:
    program = check_program(GSM8K)
    found = build_reward(infer_reward(program, Key("spec.exg", "exgrpo")))
    total = next(node for node in found["nodes"] if node["id"] == "total")
    assert (total["interval"]["low"], total["interval"]["high"]) == (0, 1.5)
    assert all(node["interval"]["text"] for node in found["nodes"])


def test_a_word_that_is_too_long_is_cut() -> None:
    assert wrap_line("aaaaaaaaaa bb", 5) == ("aaaaa", "aaaaa", "bb")
    assert wrap_line("", 4) == ()
