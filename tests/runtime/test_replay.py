"""`replay(…)`: recorded replies and nothing else; what was not recorded is told beside the nearest that was."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model, Sampling
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.replay_teacher import ReplayTeacher
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request, open_teacher

QUESTION = "Ann has 3 apples and gets 4 more. How many apples has she?"


def declare(path: Path, name: str = "canned", **changes: Any) -> Model:
    return Model(name=name, kind="replay", id=str(path), **changes)


def ask(model: Model, prompt: str, **changes: Any) -> Reply:
    request = Request(model, ({"role": "user", "content": prompt},), **changes)
    return asyncio.run(ReplayTeacher(model).ask(request))


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def record(path: Path, replies: Mapping[str, str], **changes: Any) -> Path:
    """A store as a run leaves it."""
    model = Model(name="tutor", kind="openai", id="m", sampling=Sampling(temperature=0.5))
    with ReplyStore(path) as store:
        for prompt, text in replies.items():
            request = Request(model, ({"role": "user", "content": prompt},), **changes)
            store.put(request, Reply(text, prompt_tokens=7, completion_tokens=2))
    return path


def test_a_store_a_run_left_answers_as_the_teacher_did(tmp_path: Path) -> None:
    path = record(tmp_path / "replies.sqlite", {QUESTION: "Seven.", "Why?": "Because."})
    before = path.read_bytes()
    assert ask(declare(path), QUESTION) == Reply("Seven.", prompt_tokens=7, completion_tokens=2)
    assert ask(declare(path), "Why?").text == "Because."
    assert path.read_bytes() == before


def test_json_lines_of_prompts_or_messages(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    user = {"role": "user", "content": QUESTION}
    path = write_lines(
        tmp_path / "recorded.jsonl",
        [{"prompt": QUESTION, "text": "7"}, {"messages": [system, user], "text": "seven"}],
    )
    assert ask(declare(path), QUESTION).text == "7"
    model = declare(path)
    assert asyncio.run(ReplayTeacher(model).ask(Request(model, (system, user)))).text == "seven"


def test_parquet_of_requests_as_a_store_exports_them(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `train`")
    from pyarrow.parquet import write_table

    request = json.dumps({"messages": [{"role": "user", "content": QUESTION}], "sample": 0})
    write_table(pyarrow.table({"request": [request], "text": ["7"]}), tmp_path / "replies.parquet")
    assert ask(declare(tmp_path / "replies.parquet"), QUESTION).text == "7"
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(TeacherError, match="it is no parquet file that can be read"):
        ReplayTeacher(declare(tmp_path / "broken.parquet"))


def test_equal_prompts_are_samples_in_their_order(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.jsonl", [{"prompt": "Why?", "text": text} for text in ("a", "b")])
    assert [ask(declare(path), "Why?", sample=number).text for number in (0, 1)] == ["a", "b"]
    with pytest.raises(TeacherError, match=r"recorded, but not for sample 2: there are 0, 1\."):
        ask(declare(path), "Why?", sample=2)


def test_two_models_with_one_store_are_told_apart_by_their_names_then_by_their_sampling(
    tmp_path: Path,
) -> None:
    sampling = {"temperature": 0.0, "top_p": None, "max_tokens": None}
    path = write_lines(
        tmp_path / "r.jsonl",
        [
            {"prompt": "Why?", "text": "tutor", "model": "tutor", "sample": 0},
            {"prompt": "Why?", "text": "second", "model": "second", "sample": 0},
            {"prompt": "Why?", "text": "greedy", "model": "second", "sample": 0, "sampling": sampling},
        ],
    )
    assert ask(declare(path, "tutor"), "Why?").text == "tutor"
    assert ask(declare(path, "second"), "Why?").text == "second"
    assert ask(declare(path, "second"), "Why?", sampling=Sampling(temperature=0.0)).text == "greedy"
    assert ask(declare(path, "third"), "Why?").text == "tutor"


def test_what_was_not_recorded_is_told_beside_the_nearest(tmp_path: Path) -> None:
    path = record(tmp_path / "replies.sqlite", {"Why?": "Because.", QUESTION: "Seven."})
    with pytest.raises(TeacherError) as found:
        ask(declare(path), QUESTION.replace("4 more", "5 more"))
    assert str(found.value) == (
        f"model `canned`: {path} holds no reply to this request. The nearest recorded request (92% alike) differs first at "
        "character 26: it was '…s 3 apples and gets 4 more. How many apples has she?', "
        "and is '…s 3 apples and gets 5 more. How many apples has she?' now."
    )


def test_another_number_of_messages_is_told_by_their_roles(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.jsonl", [{"prompt": "Why?", "text": "a"}])
    model = declare(path)
    request = Request(model, ({"role": "system", "content": "x"}, {"role": "user", "content": "Why?"}))
    with pytest.raises(TeacherError, match=r"has the messages user; this one has system, user\."):
        asyncio.run(ReplayTeacher(model).ask(request))


def test_a_run_stops_at_a_request_that_was_not_recorded(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.jsonl", [{"prompt": "Why?", "text": "Because."}])
    model = declare(path)
    requests = [Request(model, ({"role": "user", "content": text},)) for text in ("Why?", "How?")]
    with ReplyStore(tmp_path / "own.sqlite") as store:
        with pytest.raises(TeacherError, match="holds no reply to this request"):
            Asker(store).ask_all(requests)
        replies = Asker(store).ask_all(requests[:1])
    assert [reply.text for reply in replies] == ["Because."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no recorded replies."),
        ("{", "line 1 is not JSON"),
        ("\n[1]", "line 2 is not a JSON object"),
        ('{"prompt": "Why?"}', "line 1 has no `text`"),
        ('{"text": "a"}', "line 1 has neither `messages` nor `prompt`"),
        (
            '{"text": "a", "messages": [{"role": "user"}]}',
            "line 1 has a message without `role` and `content`",
        ),
    ],
)
def test_a_file_that_holds_no_recordings_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(TeacherError) as found:
        open_teacher(declare(tmp_path / "r.jsonl"))
    assert message in str(found.value)


def test_a_file_that_is_not_there_or_no_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="cannot be read: No such file"):
        open_teacher(declare(tmp_path / "none.jsonl"))
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("create table notes (text text)")
    with pytest.raises(TeacherError, match="it is no reply store"):
        open_teacher(declare(tmp_path / "other.sqlite"))
