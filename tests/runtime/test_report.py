from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.errors import ArtifactError, DiskError
from exgrpo_runtime.report import write_report
from tests.support.report_run import ACCURACY, HOSTILE, PROMPTS, REASONS, RULES, STAGES, TERMS, make_run

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The tags of a page, its visible text without hover titles, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.problems: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script", "title"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """Visible text with one blank between its parts, narrow blanks as plain ones."""
        return " ".join(" ".join(self.texts).replace("\u202f", " ").split())

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(attrs.get(key.rstrip("_")) == value for key, value in attributes.items())
            for name, attrs in self.tags
        )


def read_page(run_dir: Path) -> Page:
    return Page(write_report(run_dir).read_text("utf-8"))


def edit_json(path: Path, edit: Any) -> None:
    value = json.loads(path.read_text("utf-8"))
    edit(value)
    path.write_text(json.dumps(value), "utf-8")


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run")).read_text("utf-8")
    page = Page(text)
    loads = [
        (tag, key, value)
        for tag, attrs in page.tags
        for key, value in attrs.items()
        if key in ("src", "srcset", "href", "xlink:href", "data", "action", "poster", "background")
    ]
    assert [load for load in loads if not (load[2] or "").startswith(("#", "data:,"))] == []
    assert not re.search(
        r"@import|url\(|@font-face|<iframe|<object|<embed|fetch\(|XMLHttpRequest|import\(", text
    )
    policy = next(
        attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_the_page_is_well_formed_and_its_anchors_exist(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run"))
    assert page.problems == []
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {(attrs["href"] or "")[1:] for tag, attrs in page.tags if tag == "a"}
    assert links
    assert links <= set(ids)


def test_text_from_a_run_is_never_markup(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", hostile=HOSTILE, status="failed", exit_code=3, error=HOSTILE)
    edit_json(run_dir / "run.json", lambda run: run.update(task=HOSTILE, device=HOSTILE))
    page = read_page(run_dir)
    clean = read_page(make_run(tmp_path / "clean", status="failed", exit_code=3, error="plain"))
    assert page.problems == []
    assert page.count("img") == 0
    assert page.count("script") == clean.count("script") == 1
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert HOSTILE in page.text
    assert "Rule <{{ rule.name }}>" in page.text


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "one")
    first = write_report(run_dir).read_bytes()
    assert write_report(run_dir).read_bytes() == first
    assert write_report(make_run(tmp_path / "two")).read_bytes() == first
    code = "import sys, pathlib, exgrpo_runtime.report as r; r.write_report(pathlib.Path(sys.argv[1]))"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, str(run_dir)], check=True, env=environment)
        assert (run_dir / "report.html").read_bytes() == first


def test_the_headline_states_the_last_two_accuracies_and_their_intervals(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run"))
    before, after = ACCURACY[-2:]
    assert (before["mean"], after["mean"]) == (0.4125, 0.7825)
    assert (
        "Accuracy in “plain” on problems.test: 41.2 % (95 % CI 36.5\u201346.1) after warmup"
        " → 78.2 % (95 % CI 73.9\u201382.0) after train, n = 400."
    ) in page.text
    assert "+37.0 points; the two intervals do not overlap." in page.text


def test_overlapping_intervals_are_said_to_overlap(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    edit_json(
        run_dir / "stages" / "05-test" / "accuracy.json", lambda lines: lines[-1].update(mean=0.44, low=0.39)
    )
    assert "+2.8 points; the two intervals overlap." in read_page(run_dir).text


def test_a_worse_student_is_reported_as_worse(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    edit_json(
        run_dir / "stages" / "05-test" / "accuracy.json",
        lambda lines: lines[-1].update(mean=0.2, low=0.16, high=0.24),
    )
    assert "\u221221.2 points; the two intervals do not overlap." in read_page(run_dir).text


def test_every_state_has_a_bar_of_its_accuracy(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run")).read_text("utf-8")
    for state in ACCURACY:
        assert f'y="6" width="{state["mean"] * 100:.3f}%"' in text
        assert f'x1="{state["low"] * 100:.3f}%" x2="{state["high"] * 100:.3f}%" y1="15"' in text


def test_figures_of_the_funnel_are_those_of_the_files(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    page = read_page(run_dir)
    summary = json.loads((run_dir / "stages" / "02-probe" / "done.json").read_text())["summary"]
    for rule in RULES:
        counts = summary["funnel"][rule]
        cells = [counts["not-applicable"], counts["asked"], counts["kept"]]
        cells += [f"{counts['kept'] / counts['asked'] * 100:.0f} %"]
        cells += [counts.get(reason, 0) for reason in REASONS]
        assert " ".join([rule, *map(str, cells)]) in page.text
    kept = sum(counts["kept"] for counts in summary["funnel"].values())
    asked = sum(counts["asked"] for counts in summary["funnel"].values())
    assert f"{kept:,} probes kept of {asked:,} asked for" in page.text
    assert "rule not applicable asked kept share kept filter in_reach filter consistent" in page.text.lower()
    for reason, count in summary["reasons"].items():
        assert f"{reason} {count:,} train:3:ab12 why: The answer is 12, not 11." in page.text
    assert "filter in_reach 160 no-probes 3" in page.text
    assert "questions kept 431 of 594" in page.text
    assert "train 600 594 6 test 400 400 0" in page.text
    assert "not-a-number 6" in page.text


def test_samples_repairs_and_duplicates_are_told_for_each_rule(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    assert "sent back" not in read_page(run_dir).text

    def add(done: Any) -> None:
        counts = done["summary"]["funnel"]["why"]
        done["summary"]["funnel"]["why"] = {**counts, "asked": counts["asked"] + 5, "surplus": 2, "fresh": 3}
        repairs = {"asked": 9, "mended": 6, "by_rule": {"why": {"asked": 8, "mended": 6}}}
        done["summary"] |= {"samples": 3, "ask": "together", "repairs": repairs}

    edit_json(run_dir / "stages" / "02-probe" / "done.json", add)
    text = read_page(run_dir).text
    assert "answers to each request 3" in text
    assert "rules of a question asked together" in text
    assert "probes sent back 9 (66.7 % mended)" in text
    assert "sent back mended why" in text
    assert re.search(r"why 0 \d+ \d+ \d+ % [\d ]+ 8 6 ", text)
    assert "surplus 2" in text
    assert "fresh 3" in text


def test_rare_reasons_share_a_column_and_are_still_listed(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")

    def add(done: Any) -> None:
        done["summary"]["funnel"]["why"] |= {"rare-one": 2, "rare-two": 1, "asked": 597}

    edit_json(run_dir / "stages" / "02-probe" / "done.json", add)
    text = read_page(run_dir).text
    assert "malformed-reply others" in text
    assert re.search(r"why 0 597 \d+ \d+ % \d+ \d+ \d+ \d+ 3 ", text)
    assert "rare-one 2" in text
    assert "rare-two 1" in text


def test_training_figures_are_sums_and_means_over_the_steps(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    page = read_page(run_dir)
    lines = [
        json.loads(line)
        for line in (run_dir / "stages" / "04-train" / "metrics.jsonl").read_text().splitlines()
    ]
    tokens, rollouts = (sum(line[key] for line in lines) for key in ("tokens", "rollouts"))
    assert f"rollouts {rollouts:,} sampled tokens {tokens:,}" in page.text
    for term in TERMS[:-1]:
        fired = sum(line["terms"][term]["fired"] for line in lines) / len(lines)
        changed = sum(line["terms"][term]["changed"] for line in lines) / len(lines)
        pattern = rf"{term} .{{0,90}} {fired * 100:.1f} % .{{0,40}}{changed * 100:.1f} %"
        assert re.search(pattern, page.text), term
    silent, groups = (sum(line[key] for line in lines) for key in ("groups_without_signal", "groups"))
    assert f"groups without a signal {silent} {silent / groups * 100:.1f} % of {groups} groups" in page.text
    dropped, voids = (sum(sum(line[key].values()) for line in lines) for key in ("dropped", "voids"))
    assert f"rollouts dropped {dropped} no-final-turn {dropped}" in page.text
    assert f"void rollouts {voids} partial {voids}" in page.text
    assert f"turns cut at the token limit {sum(line['truncated_turns'] for line in lines)}" in page.text


def test_every_term_and_signal_has_a_chart(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run")).read_text("utf-8")
    titles = re.findall(r'<figcaption><div class="top"><b>([^<]*)</b>', text)
    assert titles == [
        *["loss", "token accuracy"] * 2,
        *TERMS,
        *["outcome", "total"],
        *["groups with a signal", "KL", "clipped", "auxiliary loss", "length", "speed"],
    ]
    assert "moving average over 5 steps" in text
    assert "outcome + (bonus if scenario = full and outcome = 1 else 0)" in text


def test_twenty_rollouts_cover_phases_scenarios_and_verdicts(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run"))
    rollouts = [attrs for tag, attrs in page.tags if tag == "details" and "data-phase" in attrs]
    assert len(rollouts) == 20
    shown = {(each["data-phase"], each["data-scenario"], each["data-verdict"]) for each in rollouts}
    for phase in ("first", "middle", "last"):
        for scenario in ("full", "partial"):
            assert {(phase, scenario, "right"), (phase, scenario, "wrong")} <= shown
    assert any(verdict == "dropped" for _, _, verdict in shown)
    assert "Left out of its group: no-final-turn." in page.text


def test_changed_answers_are_counted_in_both_directions(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    path = run_dir / "stages" / "05-test" / "completions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    scores = {(line["after"], line["row"]): line for line in lines}
    worse = next(row for (after, row), line in scores.items() if after == "warmup" and line["score"] == 1.0)
    scores["train", worse]["score"] = 0.0
    unscored = next(
        row for (after, row), line in scores.items() if after == "warmup" and line["score"] == 0.0
    )
    scores["train", unscored]["score"] = None
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    pairs = [
        (scores["warmup", f"problems/test/{i}"]["score"], scores["train", f"problems/test/{i}"]["score"])
        for i in range(400)
    ]
    page = read_page(run_dir)
    assert (
        f"{pairs.count((0.0, 1.0))} turned right and 1 turned wrong; "
        f"{pairs.count((1.0, 1.0))} were right twice and {pairs.count((0.0, 0.0))} wrong twice."
    ) in page.text
    assert page.count("span", class_="verdict right") >= 5
    assert page.text.count("turned right problems/test/") == 5
    assert f"turned wrong {worse}" in page.text


def test_settings_prompts_and_hashes_are_shown(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    page = read_page(run_dir)
    run = json.loads((run_dir / "run.json").read_text())
    for value in (
        run["artifact"],
        *run["hashes"].values(),
        "cpu (2 threads)",
        "invert.in_reach",
        "train.steps=60",
    ):
        assert value in page.text
    for path, text in PROMPTS.items():
        assert path in page.text
        assert " ".join(text.split()) in page.text
    assert "env(TEACHER_API_KEY)" in page.text
    assert "optimizer.max_grad_norm 1" in page.text
    assert "group.full 4 group.partial 4" in page.text


@pytest.mark.parametrize("count", range(len(STAGES)))
def test_a_run_that_stopped_shows_what_is_there_and_says_what_is_missing(tmp_path: Path, count: int) -> None:
    run_dir = make_run(
        tmp_path / "run",
        stages=STAGES[:count],
        status="interrupted",
        exit_code=130,
        error="Interrupted. Go on.",
    )
    page = read_page(run_dir)
    assert page.problems == []
    assert page.count("span", class_="status interrupted") == 1
    assert "Interrupted. Go on." in page.text
    assert "No accuracy was measured: “test” did not finish." in page.text
    missing = page.text.split("without a result:")[1].split(".")[0]
    assert [name for name in STAGES if re.search(rf"\b{name} \(", missing)] == list(STAGES[count:])
    assert ("ExGRPO training: train" in page.text) == ("train" in STAGES[:count])
    assert ("Supervised fine-tuning" in page.text) == ("base" in STAGES[:count])


def test_a_killed_run_has_no_result_and_is_called_unfinished(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run", stages=STAGES[:2], status=None))
    assert page.count("span", class_="status open") == 1
    assert "There is no result.json" in page.text


def test_exit_code_five_is_finished_in_part(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run", exit_code=5))
    assert page.count("span", class_="status partial") == 1


def test_damaged_files_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    metrics = run_dir / "stages" / "04-train" / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-40])
    (run_dir / "stages" / "05-test" / "accuracy.json").write_text("[{")
    (run_dir / "artifact" / "reward.json").write_text("{}")
    page = read_page(run_dir)
    assert "stages/04-train/metrics.jsonl: 1 line is damaged and left out." in page.text
    assert "stages/05-test/accuracy.json is damaged and left out." in page.text
    assert "does not match its hash" in page.text
    assert "78.2 %" in page.text  # from result.json
    assert "ExGRPO training: train" in page.text


def test_missing_files_of_a_finished_stage_leave_their_part_out(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    for name in (
        "04-train/rollouts.jsonl",
        "04-train/metrics.jsonl",
        "05-test/completions.jsonl",
        "01-base/metrics.jsonl",
    ):
        (run_dir / "stages" / name).unlink()
    page = read_page(run_dir)
    assert page.problems == []
    assert "No rollout was written by this stage." in page.text
    assert "turned right" not in page.text


def test_values_that_are_no_numbers_leave_gaps(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", steps=3)
    path = run_dir / "stages" / "04-train" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["kl"], lines[1]["kl"] = None, float("nan")
    for line in lines:
        line["aux_loss"] = None
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_report(run_dir).read_text("utf-8")
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S).lower().split("</head>")[1]
    titles = re.findall(r'<figcaption><div class="top"><b>([^<]*)</b>', text)
    assert "KL" in titles
    assert "auxiliary loss" not in titles


def test_an_evaluation_without_a_score_is_no_accuracy(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")

    def clear(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            line.update(n=0, mean=None, low=None, high=None, unscored=400)

    edit_json(run_dir / "stages" / "05-test" / "accuracy.json", clear)
    assert "No accuracy was measured: “test” scored no answer." in read_page(run_dir).text


def test_a_state_without_a_score_is_named(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    edit_json(
        run_dir / "stages" / "05-test" / "accuracy.json",
        lambda lines: lines[0].update(n=0, mean=None, low=None, high=None, unscored=400),
    )
    text = read_page(run_dir).text
    assert "No answer had a score before any training." in text
    assert "after base 31.2 %" in text


def test_a_rollout_without_the_deciding_term_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", steps=1)
    path = run_dir / "stages" / "04-train" / "rollouts.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    line["terms"]["outcome"] = None
    path.write_text(json.dumps({**line, "trained": False, "advantage": None}) + "\n")
    page = read_page(run_dir)
    assert page.count("span", class_="verdict unscored") == 1
    assert "it has no advantage and is not trained on" in page.text


def test_the_page_of_a_long_run_stays_small(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run", steps=1000)).read_text("utf-8")
    assert len(text) < 700_000
    assert "means of 3 steps" in text


def test_long_texts_are_cut_and_say_so(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run", steps=2, hostile="x" * 20_000))
    assert "x" * 5_000 in page.text
    assert "x" * 6_001 not in page.text
    assert re.search(r"… 14,0\d\d more characters", page.text)


def test_what_is_not_a_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is not a run directory: it has no run\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_report_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = make_run(tmp_path / "run")
    path = write_report(run_dir)
    before = path.read_bytes()

    def fill_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    edit_json(run_dir / "run.json", lambda run: run.update(task="another"))
    monkeypatch.setattr(Path, "replace", fill_disk)
    with pytest.raises(DiskError, match="the disk is full"):
        write_report(run_dir)
    assert path.read_bytes() == before
    assert [entry.name for entry in run_dir.iterdir() if "tmp" in entry.name] == []
