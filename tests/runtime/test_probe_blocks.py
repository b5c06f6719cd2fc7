"""A probe stage works in blocks of rows, and nobody can tell from its result how large they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.record import replace as change
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.stage import run_probe_stage
from exgrpo_runtime.records import Row
from tests.runtime.test_probe_filters import fresh
from tests.runtime.test_probing import (
    STAGE,
    find_gold,
    make_consistent,
    make_probing,
    read_prompt,
    resume,
    tell_right,
    write_probe,
)
from tests.support.endpoint import Response, chat, refuse, serve_script

NUM_ROWS = 11


class Watched(Sequence[Row]):
    """Rows that remember which of them were looked at, and how many at once."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.slices: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            start, end, _ = place.indices(len(self.rows))
            self.slices.append((start, end))
        return self.rows[place]

    def __iter__(self) -> Iterator[Row]:
        raise AssertionError("all rows at once")


def answer(number: int, body: dict[str, Any]) -> Response:
    """Every fate that a probe can have, by the row's number and the rule."""
    messages = body["messages"]
    question, rule = read_prompt(messages[0]["content"])
    if not rule:
        return chat("7" if "DERAIL" in messages[0]["content"] else tell_right(question, rule))
    fate = (find_gold(question) + len(rule)) % 7
    if fate == 0 and len(messages) == 1:
        return chat("Hm.")  # and mended when it is sent back
    if fate == 1:
        return chat("Hm.")
    if fate == 2:
        return refuse(400)
    if fate == 3:
        return chat(write_probe(f"Is it {find_gold(question)}?", rule))
    return chat(write_probe("The same for all", "why", "DERAIL" if fate == 4 else "so"))


def make(path: Path, url: str) -> Context:
    context = make_probing(path, url, fresh(0.95), make_consistent(), num_rows=NUM_ROWS)
    manifest = context.manifest
    declaration = change(manifest.probes["ask"], samples=2, per_rule=1)
    artifact = context.artifact._replace(manifest=change(manifest, probes={"ask": declaration}))
    return replace(context, artifact=artifact)


def run_blocks(path: Path, url: str, size: int) -> tuple[dict[str, Any], str, str, Watched]:
    context = make(path, url)
    rows = Watched(context.rows["sums"]["train"])
    context = replace(context, rows={"sums": {"train": rows}})
    summary = run_probe_stage(STAGE, context, block_rows=size)
    context.store.close()
    texts = [(context.work / f"{name}.jsonl").read_text("utf-8") for name in ("probes", "rejections")]
    return summary, texts[0], texts[1], rows


def test_the_result_is_the_same_whatever_the_size_of_a_block(tmp_path: Path) -> None:
    with serve_script(answer) as endpoint:
        results = {
            size: run_blocks(tmp_path / str(size), endpoint.url, size) for size in (NUM_ROWS, 1, 4, 100)
        }
    summary, probes, rejections, _ = results[NUM_ROWS]
    reasons = {json.loads(line)["reason"] for line in rejections.splitlines()}
    assert reasons == {"malformed-reply", "teacher-failed", "states-answer", "fresh", "consistent"}
    assert probes
    for size, (other_summary, other_probes, other_rejections, _) in results.items():
        assert other_probes == probes, size
        assert other_rejections == rejections, size
        assert json.dumps(other_summary) == json.dumps(summary), size


def test_rejections_stand_in_the_order_of_their_rows(tmp_path: Path) -> None:
    with serve_script(answer) as endpoint:
        _, probes, rejections, rows = run_blocks(tmp_path, endpoint.url, 4)
    for text in (probes, rejections):
        places = [int(json.loads(line)["row"].split(":")[1]) for line in text.splitlines()]
        assert places == sorted(places)
    assert rows.slices == [(0, 4), (4, 8), (8, 11)]


def test_a_stage_that_stopped_in_the_middle_asks_only_for_what_is_left(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        # The key is refused from the seventh row on, as when an account runs dry.
        is_dry = is_running_dry[0] and find_gold(read_prompt(body["messages"][0]["content"])[0]) >= 106
        return refuse(401, "no") if is_dry else answer(number, body)

    is_running_dry = [True]
    with serve_script(script) as endpoint:
        context = make(tmp_path, endpoint.url)
        with pytest.raises(Exception, match="HTTP 401"):
            run_probe_stage(STAGE, context, block_rows=3)
        done = context.store.sum_usage("tutor").replies
        whole = len((context.work / "probes.jsonl").read_text("utf-8").splitlines())
        is_running_dry[0] = False
        context = resume(tmp_path, context)
        summary = run_probe_stage(STAGE, context, block_rows=3)
        context.store.close()
        assert done > 0
        assert whole > 0, "blocks that were finished were written"
        assert summary["from_store"] >= done
    with serve_script(answer) as endpoint:
        fresh_summary, probes, _, _ = run_blocks(tmp_path / "fresh", endpoint.url, 100)
    assert (context.work / "probes.jsonl").read_text("utf-8") == probes
    assert summary["funnel"] == fresh_summary["funnel"]
