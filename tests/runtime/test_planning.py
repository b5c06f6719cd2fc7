"""What a plan says, against numbers worked by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.errors import DiskError, ModelError, SourceError
from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.manifest import GrpoStage, Limits, Manifest, Model, Price, Rubric, Sampling
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.planning.bills import make_bill
from exgrpo_runtime.planning.calls import Calls, count_calls, expect_reply
from exgrpo_runtime.planning.filter_calls import scale_asked
from exgrpo_runtime.planning.held import Held, HeldReplies, ModelPast, ReplyLengths
from exgrpo_runtime.planning.plan import Plan, build_plan
from exgrpo_runtime.planning.prices import Priced, find_price, read_prices
from exgrpo_runtime.planning.ranges import NOTHING, Range, add_up, exactly
from exgrpo_runtime.planning.rehearsal import Asked
from exgrpo_runtime.probing.questions import build_questions
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request
from exgrpo_runtime.templates import TemplateSet
from tests.runtime.factory import make_artifact, make_evaluate, make_grpo, make_rows, make_sft

TUTOR = Model(
    name="tutor",
    kind="openai",
    id="m",
    sampling=Sampling(max_tokens=100),
    tries=3,
    price=Price(input=2.0, output=8.0),
)
PRICED = Priced(Price(input=2.0, output=8.0), "spec")


def make_calls(model: Model = TUTOR, *, planned: int = 10, held: int = 0) -> Calls:
    return count_calls(
        "probe",
        "probes",
        model,
        exactly(planned),
        prompt=exactly(100),
        completion=expect_reply("probe", model, ReplyLengths(num=2, total=100, least=40)),
        held=held,
    )


def change_manifest(artifact: Artifact, **changes: Any) -> Artifact:
    return artifact._replace(manifest=replace(artifact.manifest, **changes))


def plan_rows(artifact: Artifact, rows: list[Row], **options: Any) -> Plan:
    return build_plan(artifact, artifact.manifest.stages, {"sums": {"train": rows}}, **options)


def find_calls(plan: Plan) -> Mapping[str, Calls]:
    return {one.what: one for one in plan.calls}


# --- figures ------------------------------------------------------------------------------------------------


def test_what_is_unknown_stays_unknown_but_nothing_of_it_is_nothing() -> None:
    known, unknown = Range(1, 2, 3), Range(1, 2, None)
    assert known.plus(unknown) == Range(2, 4, None)
    assert known.times(unknown) == Range(1, 4, None)
    assert NOTHING.times(unknown) == NOTHING
    assert add_up([]) == NOTHING
    assert known.minus(2) == Range(0, 0, 1)


def test_a_bill_in_dollars() -> None:
    """10 requests of 100 + 50 tokens: (1000 x 2 + 500 x 8) / 1e6. At worst 3 tries of 100 + 100: (3000 x 2 + 3000 x 8) / 1e6."""
    calls = make_calls()
    assert calls.sent == Range(10, 10, 30)
    assert calls.prompt_tokens == Range(1000, 1000, 3000)
    assert calls.completion_tokens == Range(400, 500, 3000)
    bill = make_bill(TUTOR, [calls], PRICED, ModelPast())
    assert bill.usd is not None
    assert bill.usd == pytest.approx((0.0052, 0.006, 0.03))


def test_what_is_held_is_not_sent() -> None:
    assert make_calls(held=7).sent == Range(3, 3, 9)
    assert make_calls(held=10).completion_tokens == NOTHING


def test_a_model_that_runs_here_is_not_asked_twice_and_costs_nothing() -> None:
    local = replace(TUTOR, kind="hf", price=None)
    assert make_calls(local).sent == exactly(10)
    assert find_price(local, {}) == Priced(Price(input=0, output=0), "local")


def test_a_budget_is_held_against_what_is_spent_and_will_be() -> None:
    def judge(budget: float | None, **past: Any) -> str:
        model = replace(TUTOR, budget_usd=budget)
        return make_bill(model, [make_calls(model)], PRICED, ModelPast(**past)).verdict

    assert judge(None) == "none"
    assert judge(0.03) == "held"
    assert judge(0.029) == "worst"
    assert judge(0.0059) == "expected"
    assert judge(0.03, cost_usd=0.025) == "expected"
    # 500 prompt tokens and 125 completion tokens of replies that were never priced: 0.001 + 0.001.
    assert judge(0.0079, uncosted_prompt_tokens=500, uncosted_completion_tokens=125) == "expected"
    assert judge(0.0081, uncosted_prompt_tokens=500, uncosted_completion_tokens=125) == "worst"


def test_without_max_tokens_the_worst_is_unknown() -> None:
    model = replace(TUTOR, sampling=Sampling(), budget_usd=1000.0)
    bill = make_bill(model, [make_calls(model)], PRICED, ModelPast())
    assert bill.usd is not None
    assert bill.usd.worst is None
    assert bill.verdict == "worst"


def test_without_a_price_the_cost_is_unknown_and_never_zero() -> None:
    model = replace(TUTOR, price=None, budget_usd=0.001)
    bill = make_bill(model, [make_calls(model)], find_price(model, {}), ModelPast())
    assert (bill.usd, bill.spent_usd, bill.verdict) == (None, None, "none")
    assert bill.to_json()["usd"] is None
    nothing = make_bill(model, [make_calls(model, held=10)], find_price(model, {}), ModelPast())
    assert nothing.usd == NOTHING  # but what asks for nothing costs nothing


def test_time_is_the_slowest_of_limits_and_latency() -> None:
    calls = [make_calls(planned=600)]

    def estimate(limits: Limits, latency_s: float | None = None, urls: tuple[str, ...] = ()) -> Range | None:
        model = replace(TUTOR, limits=limits, more_urls=urls)
        return make_bill(model, calls, PRICED, ModelPast(latency_s=latency_s)).seconds

    assert estimate(Limits()) is None
    assert estimate(Limits(requests=60)) == Range(600, 600, 1800)
    # 600 x (100 + 50) tokens at 9000 a minute are 10 minutes.
    assert estimate(Limits(requests=600, tokens=9000)) == pytest.approx((560, 600, 2400))
    assert estimate(Limits(concurrency=4), 2.0) == pytest.approx((300, 300, 900))
    assert estimate(Limits(concurrency=4), 2.0, ("http://b/v1",)) == pytest.approx((150, 150, 450))


# --- probe stages -------------------------------------------------------------------------------------------


def test_every_row_and_rule_is_a_question_and_equal_ones_are_asked_once() -> None:
    rows = make_rows(35)
    assert find_calls(plan_rows(make_artifact(), rows))["probes"].planned == exactly(35)
    # `What is i % 7 + i % 5?` comes again after 35 rows.
    assert find_calls(plan_rows(make_artifact(), make_rows(70)))["probes"].planned == exactly(35)


def test_what_the_store_holds_need_not_be_asked_and_tells_how_long_the_rest_is(tmp_path: Path) -> None:
    artifact, rows = make_artifact(), make_rows(10)
    stage = artifact.manifest.stages[0]
    store = tmp_path / "replies.sqlite"
    with ReplyStore(store) as replies:
        for question in build_questions(artifact, TemplateSet(artifact.prompts), stage, rows[:4]):  # type: ignore[arg-type]
            size = len(question.request.messages[0]["content"])
            replies.put(question.request, Reply("…", prompt_tokens=2 * size, completion_tokens=30))
    plan = plan_rows(artifact, rows, store=store)
    probes = find_calls(plan)["probes"]
    assert (probes.planned, probes.held, probes.sent) == (exactly(10), 4, exactly(6))
    prompts = [
        len(question.request.messages[0]["content"])
        for question in build_questions(artifact, TemplateSet(artifact.prompts), stage, rows[4:])  # type: ignore[arg-type]
    ]
    assert probes.prompt_tokens == pytest.approx(exactly(2 * sum(prompts)))
    assert probes.completion_tokens.expected == 6 * 30
    assert plan.measured == {"probe": "prompts as the endpoint counted those that are stored (4)"}
    assert find_calls(plan_rows(artifact, rows[:4], store=store))["probes"].sent == NOTHING


def test_a_plan_makes_no_store_and_changes_none(tmp_path: Path) -> None:
    plan_rows(make_artifact(), make_rows(2), store=tmp_path / "replies.sqlite")
    assert list(tmp_path.iterdir()) == []
    with ReplyStore(tmp_path / "replies.sqlite"):
        pass
    before = (tmp_path / "replies.sqlite").read_bytes()
    plan_rows(make_artifact(), make_rows(2), store=tmp_path / "replies.sqlite")
    assert (tmp_path / "replies.sqlite").read_bytes() == before


def test_of_a_part_that_was_rehearsed_the_whole_is_estimated_and_bounded() -> None:
    """Half of 200 requests were looked at: 4 of 100 missing are 8 of 200, at most (4 + 2 x 2 + 3) x 2; none missing, at most 3 x 2."""
    assert scale_asked(Asked(num=100, num_held=96), 1.0, 200) == (exactly(100), 96)
    planned, held = scale_asked(Asked(num=100, num_held=96), 2.0, 200)
    assert (planned.minus(held), held) == (Range(4, 8, 22), 192)
    planned, held = scale_asked(Asked(num=100, num_held=100), 2.0, 200)
    assert (planned.minus(held), held) == (Range(0, 0, 6), 200)
    planned, held = scale_asked(Asked(num=1, num_held=0), 2.0, 2)
    assert planned.minus(held) == Range(1, 2, 2)  # never more than there are


def test_what_is_spent_is_what_a_run_counts_as_spent(tmp_path: Path) -> None:
    models = [TUTOR, replace(TUTOR, name="unpriced", id="other", price=None)]
    replies = [
        Reply("a" * 30, prompt_tokens=100, completion_tokens=20),
        Reply("b" * 30),
        Reply(None, error="cut off", prompt_tokens=1000, completion_tokens=100),
    ]
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        for model in models:
            for number, reply in enumerate(replies):
                store.put(Request(model, ({"role": "user", "content": f"Question {number}?"},)), reply)
        counted = {
            name: Budget(TUTOR, store.sum_usage(name)).spent_usd for name in ("tutor", "unpriced", "none")
        }
    held = HeldReplies(tmp_path / "replies.sqlite")
    for name, spent in counted.items():
        bill = make_bill(TUTOR, [], PRICED, held.describe_model(name))
        assert bill.spent_usd == pytest.approx(spent)
    assert counted["tutor"] > 0.002  # the failure alone


def test_replies_of_an_older_store_are_found(tmp_path: Path) -> None:
    request = Request(TUTOR, ({"role": "user", "content": "Why?"},))
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as connection, connection:
        connection.execute(
            "create table replies (key text primary key, model text not null, model_id text, text text not null, "
            "prompt_tokens integer, completion_tokens integer, created real not null)"
        )
        connection.execute(
            "insert into replies values (?, 'tutor', 'm', 'Because.', 3, 2, 0)", (request.old_key,)
        )
    held = HeldReplies(tmp_path / "old.sqlite")
    assert held.find([request]) == {request.key: Held(3, 2)}
    assert held.describe_model("tutor") == ModelPast(1, None, 0, 3, 2)


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a store, but long enough to be looked at " * 20)
    with pytest.raises(DiskError, match=r"notes\.txt cannot be read"):
        HeldReplies(tmp_path / "notes.txt")


def test_prompts_are_counted_with_a_tokenizer_or_estimated_and_the_plan_says_which(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra `train`")
    from tests.support.tiny_student import make_chatml_tokenizer

    tokenizer = make_chatml_tokenizer()
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    artifact, rows = make_artifact(), make_rows(5)
    plan = plan_rows(artifact, rows, tokenizer=tmp_path / "tokenizer")
    exact = 0
    for question in build_questions(
        artifact, TemplateSet(artifact.prompts), artifact.manifest.stages[0], rows
    ):  # type: ignore[arg-type]
        text = tokenizer.apply_chat_template(
            list(question.request.messages), tokenize=False, add_generation_prompt=True
        )
        exact += len(tokenizer.encode(text, add_special_tokens=False))
    assert find_calls(plan)["probes"].prompt_tokens == pytest.approx(exactly(exact))
    assert plan.measured["probe"].startswith(f"prompts counted with {tmp_path / 'tokenizer'} (5 of 5 prompts")
    estimate = plan_rows(artifact, rows)
    assert estimate.measured["probe"].startswith("an estimate by bytes alone (5 of 5 prompts")
    tokens = find_calls(estimate)["probes"].prompt_tokens
    assert tokens.worst is not None
    assert tokens.low < tokens.expected < tokens.worst
    with pytest.raises(ModelError, match="is no folder"):
        plan_rows(artifact, rows, tokenizer=tmp_path / "nowhere")


# --- judges -------------------------------------------------------------------------------------------------


def make_judged(*, is_branch: bool) -> Artifact:
    """The task, its reward with a judge of the final turn; `is_branch`: for right answers only."""
    artifact = make_artifact(make_sft(), make_grpo(items=2, steps=3), make_evaluate(term="style"))
    reward = artifact.rewards["sums"]
    score = Node(
        id="score",
        op="call",
        args=("final",),
        params={"fn": "judge.score", "rubric": "clear", "model": "critic"},
        level="rollout",
    )
    style = Node(id="style", op="if", args=("outcome", "score", "zero"), level="rollout")
    if not is_branch:
        style = Node(id="style", op="add", args=("outcome", "score"), level="rollout")
    nodes = tuple(each for each in reward.nodes if each.id != "total")
    judged: RewardGraph = replace(
        reward, nodes=(*nodes, score, style, reward.nodes[-1]), terms=("outcome", "style", "total")
    )
    manifest: Manifest = replace(
        artifact.manifest,
        models={**artifact.manifest.models, "critic": replace(TUTOR, name="critic", tries=1)},
        rubrics={"clear": Rubric(name="clear", scale=(0, 4), text="prompts/clear.jinja")},
    )
    prompts = {**artifact.prompts, "prompts/clear.jinja": "Is it clear?"}
    return Artifact(manifest, prompts, {"sums": judged})


def test_judges_are_asked_for_every_rollout_and_every_evaluated_answer() -> None:
    """2 questions x 3 steps x 4 rollouts in training; 5 rows x 3 students (initial, after sft, after grpo) in the evaluation."""
    plan = plan_rows(make_judged(is_branch=False), make_rows(5))
    training, evaluation = (one for one in plan.calls if one.what == "judge.score")
    assert (training.stage, training.planned) == ("train", Range(0, 24, 24))
    assert (evaluation.stage, evaluation.planned) == ("test", Range(0, 15, 15))
    assert [bill.model.name for bill in plan.bills] == ["tutor", "critic"]


def test_groups_that_may_be_sampled_anew_may_be_judged_as_often_more() -> None:
    artifact = make_judged(is_branch=False)
    stages = tuple(
        replace(stage, resample=2) if isinstance(stage, GrpoStage) else stage
        for stage in artifact.manifest.stages
    )
    plan = plan_rows(change_manifest(artifact, stages=stages), make_rows(5))
    training = next(one for one in plan.calls if one.what == "judge.score")
    assert training.planned == Range(0, 24, 72)


def test_a_judge_in_a_branch_is_expected_for_half_of_the_rollouts() -> None:
    plan = plan_rows(make_judged(is_branch=True), make_rows(5))
    assert [one.planned for one in plan.calls if one.what == "judge.score"] == [
        Range(0, 12, 24),
        Range(0, 7.5, 15),
    ]


def test_an_evaluation_of_another_term_asks_no_judge() -> None:
    artifact = make_judged(is_branch=False)
    outcome = make_evaluate(term="outcome")
    changed = change_manifest(artifact, stages=(artifact.manifest.stages[0], outcome))
    assert [one.what for one in plan_rows(changed, make_rows(5)).calls] == ["probes", "repairs"]


# --- prices -------------------------------------------------------------------------------------------------


def test_prices_come_from_the_spec_then_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('["m"]\ninput = 1\noutput = 3.5\n')
    (tmp_path / "prices.json").write_text('{"m": {"input": 1, "output": 3.5}}')
    table = read_prices(tmp_path / "prices.toml")
    assert table == read_prices(tmp_path / "prices.json") == {"m": Price(input=1, output=3.5)}
    assert find_price(TUTOR, table) == PRICED
    assert find_price(replace(TUTOR, price=None), table) == Priced(Price(input=1, output=3.5), "file")
    assert find_price(replace(TUTOR, price=None, id="other"), table) is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", "[m", "is not the TOML or JSON"),
        ("p.json", "[1]", "holds no table"),
        ("p.toml", "m = 3", "`m` needs just `input` and `output`"),
        ("p.toml", "[m]\ninput = 1", "`m` needs just `input` and `output`"),
        ("p.toml", "[m]\ninput = -1\noutput = 2", "`input` of `m` is -1"),
        ("p.toml", "[m]\ninput = 1\noutput = nan", "`output` of `m` is nan"),
        ("p.toml", "[m]\ninput = true\noutput = 2", "`input` of `m` is True"),
    ],
)
def test_a_table_that_is_none_is_told(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        read_prices(tmp_path / name)


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_prices(tmp_path / "prices.toml")
