"""`exgrpo plan` as a user runs it: nothing is sent, nothing is needed, and what is unknown is called unknown."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from exgrpo_dsl.schemas import describe_output
from tests.support.cli import Called, call_exgrpo, run_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.silent_server import expect_silence
from tests.support.sums import answer_sums, write_sums

PRICE = "  max_tokens  = 200tok\n  price { input = 1usd; output = 4usd }\n"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_sums(tmp_path)


def plan(spec: Path, *options: object) -> Called:
    return call_exgrpo("plan", spec.name, *options, cwd=spec.parent)


def plan_json(spec: Path, *options: object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(plan(spec, *options, "--format", "json").out)
    jsonschema.validate(found, describe_output("plan"))
    return found


def edit(spec: Path, old: str, new: str) -> None:
    text = spec.read_text("utf-8")
    assert old in text
    spec.write_text(text.replace(old, new), "utf-8")


def test_nothing_is_sent_and_no_key_is_needed(spec: Path) -> None:
    with expect_silence() as server:
        edit(spec, 'env("TEACHER_BASE_URL")', f'"{server.url}"')
        result = run_exgrpo("plan", spec.name, cwd=spec.parent)  # no TEACHER_API_KEY in its environment
    assert (result.returncode, result.stderr) == (0, "")
    assert "12 of 12 probes of `probe` must be asked; 0 are stored" in result.stdout
    assert sorted(path.name for path in spec.parent.iterdir()) == ["sums.exg", "test.jsonl", "train.jsonl"]


def test_the_port_that_must_stay_silent_would_notice() -> None:
    with pytest.raises(AssertionError, match="a connection was opened"), expect_silence() as server:
        socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)).recv(1)


def test_a_person_reads_calls_tokens_cost_time_and_what_is_shown_to_whom(spec: Path) -> None:
    edit(spec, "  max_tokens  = 200tok\n", PRICE + "  budget = 5usd\n  limits { requests = 60 }\n")
    code, out, _ = plan(spec)
    assert code == 0
    for line in (
        "rows: 6 in `probe`, 6 in `test`",
        "probe  probes      tutor  12 / 12 / 48",
        "the budget of `tutor` (5 usd, 0 spent) holds",
        "declassified: nothing",
        "open, so the student may see it: invert.question",
        "rules that reveal: none",
    ):
        assert line in out
    assert "at least 12 s / 24 s / 144 s" in " ".join(out.replace("2 min", "144 s").split())
    assert "an estimate by bytes alone (12 of 12 prompts" in out


def test_a_cost_without_a_price_is_unknown(spec: Path, tmp_path: Path) -> None:
    code, out, _ = plan(spec)
    assert code == 0
    assert "warning: `tutor` has no price, so its cost is unknown" in out
    assert plan_json(spec)["usd"] is None
    (tmp_path / "prices.toml").write_text("[tutor]\ninput = 1\noutput = 4\n")
    found = plan_json(spec, "--prices", "prices.toml")
    assert found["models"][0]["price"] == {"input": 1.0, "output": 4.0, "from": "file"}
    assert found["usd"]["expected"] > 0
    edit(spec, "  max_tokens  = 200tok\n", PRICE)
    assert plan_json(spec)["usd"] == pytest.approx(found["usd"])


def test_a_budget_that_what_is_expected_exceeds_exits_5_and_one_that_only_the_worst_does_warns(
    spec: Path,
) -> None:
    edit(spec, "  max_tokens  = 200tok\n", PRICE)
    usd = plan_json(spec)["usd"]
    between = (usd["expected"] + usd["worst"]) / 2
    code, out, _ = plan(spec, "--set", f"tutor.budget={usd['expected'] / 2:.6f}usd")
    assert code == 5
    assert "over budget: what is expected exceeds the budget of `tutor`" in out
    code, out, _ = plan(spec, "--set", f"tutor.budget={between:.6f}usd")
    assert code == 0
    assert "holds for what is expected, not for the worst" in out
    found = plan_json(spec, "--set", f"tutor.budget={between:.6f}usd")
    assert found["models"][0]["budget_exceeded_by"] == "worst"


def test_limits_and_shards_are_those_of_a_run(spec: Path) -> None:
    assert plan_json(spec, "--limit", 4)["rows"] == {"probe": 4, "test": 4}
    assert plan_json(spec, "--shard", "2/4")["rows"] == {"probe": 2, "test": 6}  # rows 1 and 5
    shards = [
        plan_json(spec, "--shard", f"{number}/4")["calls"][0]["planned"]["low"] for number in (1, 2, 3, 4)
    ]
    assert sum(shards) == 12
    code, _, err = plan(spec, "--shard", "5/4")
    assert code == 2
    assert "there is no shard 5/4" in err


def test_an_artifact_is_planned_as_its_spec_is(spec: Path) -> None:
    assert call_exgrpo("compile", spec.name, "-o", "build", cwd=spec.parent).code == 0
    artifact = call_exgrpo("plan", "build/sums_exgrpo", "--format", "json", cwd=spec.parent)
    assert json.loads(artifact.out) == plan_json(spec)


def test_a_spec_with_a_mistake_is_not_planned(spec: Path) -> None:
    edit(spec, "item.question", "item.qestion")
    code, out, err = plan(spec)
    assert (code, out) == (1, "")
    assert "unknown-field" in err


def test_two_stores_are_one_too_many(spec: Path) -> None:
    code, _, err = plan(spec, "--store", "a.sqlite", "--out", "run")
    assert code == 2
    assert "--store and --out both name a store" in err


def test_no_further_than_a_stage(spec: Path) -> None:
    assert plan_json(spec, "--stage", "probe")["rows"] == {"probe": 6}
    assert plan_json(spec, "--stage", "data")["calls"] == []
    code, _, err = plan(spec, "--stage", "probes")
    assert code == 2
    assert "has no stage `probes`; it has data, probe, warmup, train, test" in err


@pytest.fixture
def finished(spec: Path) -> Path:
    """The spec, after its probes were asked for with every reply kept in shared.sqlite."""
    options = ["--stage", "probe", "-o", "out", "--store", "shared.sqlite"]
    with serve_teacher(answer_sums) as server:
        result = run_exgrpo("run", spec.name, *options, cwd=spec.parent, env=server.env)
    assert result.returncode == 0, result.stdout + result.stderr
    told = "12 of 12 probes of `probe` must be asked; 0 are stored; expected 24 requests to tutor, at unknown cost"
    assert told in result.stdout
    return spec


def change_store(spec: Path, statement: str) -> None:
    with closing(sqlite3.connect(spec.parent / "shared.sqlite")) as connection, connection:
        connection.execute(statement)


def list_sent(found: Mapping[str, Any]) -> Mapping[str, tuple[float, float, float]]:
    return {call["what"]: tuple(call["sent"].values()) for call in found["calls"]}


@pytest.mark.train
def test_what_a_run_has_stored_is_not_planned_again_and_its_filters_are_not_either(finished: Path) -> None:
    code, out, _ = plan(finished, "--out", "out", "--stage", "probe")  # its run.json names the store
    assert code == 0
    assert "0 of 12 probes of `probe` must be asked; 12 are stored" in out
    found = plan_json(finished, "--store", "shared.sqlite")
    assert list_sent(found) == {"probes": (0, 0, 0), "repairs": (0, 0, 0), "consistent": (0, 0, 0)}
    assert found["calls"][2]["held"] == 12
    assert found["measured"] == {"probe": "nothing is left to ask"}


@pytest.mark.train
def test_what_a_filter_lacks_is_counted_by_going_through_it_with_the_stored_replies(finished: Path) -> None:
    change_store(finished, "delete from replies where request not like '%Rule%'")
    sent = list_sent(plan_json(finished, "--store", "shared.sqlite"))
    assert sent == {"probes": (0, 0, 0), "repairs": (0, 0, 0), "consistent": (12, 12, 48)}
    # A reply that cannot be read is sent back once, and until then nobody knows whether there is a twelfth probe.
    change_store(finished, "update replies set text = 'junk' where rowid = (select min(rowid) from replies)")
    sent = list_sent(plan_json(finished, "--store", "shared.sqlite"))
    assert sent == {"probes": (0, 0, 0), "repairs": (1, 1, 4), "consistent": (11, 11, 44)}


@pytest.mark.train
def test_what_is_stored_tells_of_the_rest(finished: Path) -> None:
    lines = (finished.parent / "train.jsonl").read_text("utf-8").splitlines()
    more = [line.replace("How many apples", "And how many apples") for line in lines]
    (finished.parent / "train.jsonl").write_text("\n".join([*lines, *more]) + "\n", "utf-8")
    found = plan_json(finished, "--store", "shared.sqlite")
    # Every stored reply could be read, and so it is expected of the others.
    assert list_sent(found) == {"probes": (12, 12, 48), "repairs": (0, 0, 48), "consistent": (0, 12, 48)}
    assert found["measured"] == {"probe": "prompts as the endpoint counted those that are stored (12)"}
    change_store(finished, "update replies set text = 'junk' where rowid = (select min(rowid) from replies)")
    sent = list_sent(plan_json(finished, "--store", "shared.sqlite"))
    # One of twelve replies was malformed, and its repair is due too: 1 + 12 / 12 expected, 1 + 12 at most, all 4 tries.
    assert sent["repairs"] == (1, pytest.approx(2), 52)
    assert sent["consistent"] == (0, pytest.approx(11), 48)


def test_filters_by_several_answers_and_several_teachers_ask_so_often(spec: Path) -> None:
    keep = "  keep probe consistent where"
    text = spec.read_text("utf-8")
    start = text.index(keep)
    filters = "  keep probe sure where majority(tutor, 5)\n  keep probe agreed where both(tutor, second)\n"
    text = text[:start] + filters + text[text.index("\n", start) + 1 :]
    second = 'model second = openai("second", base_url: "http://localhost:9/v1") { max_tokens = 100tok }\n'
    spec.write_text(text.replace("model student", second + "model student"), "utf-8")
    calls = plan_json(spec, "--stage", "probe")["calls"]
    # 12 questions, 5% malformed: 11.4 probes x 5 answers; three quarters of them, x 1 answer of each teacher; 4 tries at most.
    assert [(call["what"], call["model"], *call["sent"].values()) for call in calls[2:]] == [
        ("sure", "tutor", 0, pytest.approx(57), 240),
        ("agreed", "tutor", 0, pytest.approx(8.55), 48),
        ("agreed", "second", 0, pytest.approx(8.55), 48),
    ]
