"""Learning curves, terms, losses and rollouts of the grpo stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage
from exgrpo_runtime.report import bars, charts
from exgrpo_runtime.report.charts import Chart
from exgrpo_runtime.report.collect import (
    RunRecord,
    StageRecord,
    add_counts,
    as_count,
    as_counts,
    as_mapping,
    as_number,
)
from exgrpo_runtime.report.formats import format_count, format_number, format_percent, format_seconds
from exgrpo_runtime.report.formulas import describe_terms
from exgrpo_runtime.report.metrics import Getter, Metrics, average_figure, read_figure, trace, write_counts
from exgrpo_runtime.report.rollouts import Rollout, pick_rollouts


class TermRow(NamedTuple):
    """One term of the reward over the whole training; `fired` and `changed` are shares of groups."""

    name: str
    formula: str
    mean: str
    fired: str
    fired_bar: Markup
    changed: str
    changed_bar: Markup


class GrpoView(NamedTuple):
    """Result of one grpo stage."""

    stage: str
    reward: str
    facts: tuple[tuple[str, str], ...]
    terms: tuple[TermRow, ...]
    lines: tuple[str, str]
    """What the strong and the faint line of its charts are."""
    term_charts: tuple[Chart, ...]
    scenario_charts: tuple[Chart, ...]
    signal_charts: tuple[Chart, ...]
    counts: tuple[tuple[str, str, str], ...]
    """(what, how many, detail)."""
    right_term: str
    rollouts: tuple[Rollout, ...]


def describe_grpo(record: RunRecord) -> tuple[GrpoView, ...]:
    """Every finished grpo stage, in order."""
    return tuple(_describe_grpo(record, stage) for stage in record.pick_stages("grpo"))


def _describe_grpo(record: RunRecord, stage: StageRecord) -> GrpoView:
    metrics = record.reader.read_lines(stage.path / "metrics.jsonl")
    reward = _find_reward(record, stage)
    names = _list_terms(metrics, reward)
    right_term = find_right_term(record, stage, names)
    window = charts.choose_window(len(metrics))
    return GrpoView(
        stage=stage.name,
        reward=reward.name if reward else "",
        facts=_list_facts(stage, metrics),
        terms=_tabulate_terms(metrics, names, reward),
        lines=charts.describe_lines(len(metrics), window),
        term_charts=_draw_terms(metrics, names, window),
        scenario_charts=_draw_scenarios(metrics, names, window),
        signal_charts=_draw_signals(metrics, window),
        counts=_count_losses(metrics),
        right_term=right_term,
        rollouts=pick_rollouts(record.reader, stage.path / "rollouts.jsonl", right_term),
    )


def find_right_term(record: RunRecord, stage: StageRecord, names: Sequence[str]) -> str:
    """The term that says whether a rollout is right.

    The one that an evaluate stage scores with, where there is such a stage for this reward; else the first.
    """
    settings = stage.settings
    for other in record.stages:
        if (
            isinstance(settings, GrpoStage)
            and isinstance(other.settings, EvaluateStage)
            and other.settings.reward == settings.reward
        ):
            return other.settings.term
    return names[0] if names else "total"


def _find_reward(record: RunRecord, stage: StageRecord) -> RewardGraph | None:
    if record.artifact is None or not isinstance(stage.settings, GrpoStage):
        return None
    return record.artifact.rewards.get(stage.settings.reward)


def _list_terms(metrics: Metrics, reward: RewardGraph | None) -> list[str]:
    """Terms in source order, then any others that the metrics know, `total` last."""
    names = list(reward.terms) if reward else []
    for line in metrics:
        names += [name for name in as_mapping(line.get("terms")) if name not in names]
    return [name for name in names if name != "total"] + ["total"]


def _get_signal(line: Mapping[str, Any]) -> float | None:
    groups, without = as_number(line.get("groups")), as_number(line.get("groups_without_signal"))
    return None if not groups or without is None else (groups - without) / groups


def _get_length(line: Mapping[str, Any]) -> float | None:
    tokens, rollouts = as_number(line.get("tokens")), as_number(line.get("rollouts"))
    return None if not rollouts or tokens is None else tokens / rollouts


def _get_term(name: str) -> Getter:
    """Mean of a term over a step's rollouts.

    The total is recorded by scenario alone; its mean weighs each scenario by its rollouts.
    """
    recorded = read_figure("terms", name, "mean")
    if name != "total":
        return recorded

    def get(line: Mapping[str, Any]) -> float | None:
        pairs = [
            (total, as_count(scenario.get("n")))
            for scenario in as_mapping(line.get("scenarios")).values()
            if isinstance(scenario, dict) and (total := as_number(scenario.get("total"))) is not None
        ]
        count = sum(n for _, n in pairs)
        return sum(total * n for total, n in pairs) / count if count else recorded(line)

    return get


def _draw_terms(metrics: Metrics, names: Iterable[str], window: int) -> tuple[Chart, ...]:
    lines = [trace(name, metrics, _get_term(name)) for name in names]
    note = "mean over the step\u2019s rollouts"
    return tuple(
        charts.draw_lines(line.name, note, [line], window, from_zero=True) for line in lines if line.points
    )


def _draw_scenarios(metrics: Metrics, names: Iterable[str], window: int) -> tuple[Chart, ...]:
    """One chart for every term on which scenarios differ: a value of the whole group says nothing here."""
    scenarios = list(dict.fromkeys(name for line in metrics for name in as_mapping(line.get("scenarios"))))
    if len(scenarios) < 2:
        return ()
    drawn = []
    for name in names:
        lines = [trace(scenario, metrics, read_figure("scenarios", scenario, name)) for scenario in scenarios]
        lines = [line for line in lines if line.points]
        left_out, lines = lines[charts.NUM_COLOURS :], lines[: charts.NUM_COLOURS]
        if len({line.points for line in lines}) > 1:
            note = "mean over a scenario\u2019s rollouts"
            note += f"; not drawn: {', '.join(line.name for line in left_out)}" if left_out else ""
            drawn.append(charts.draw_lines(name, note, lines, window, from_zero=True, raw=len(lines) == 2))
    return tuple(drawn)


def _draw_signals(metrics: Metrics, window: int) -> tuple[Chart, ...]:
    wanted: tuple[tuple[str, str, Getter, bool], ...] = (
        ("groups with a signal", "share of groups in which some advantage is not 0", _get_signal, True),
        ("KL", "to the model at the start of the stage, nats per token", read_figure("kl"), False),
        ("clipped", "share of tokens", read_figure("clip_fraction"), True),
        ("auxiliary loss", "nats per token", read_figure("aux_loss"), False),
        ("length", "sampled tokens per rollout", _get_length, False),
        ("speed", "sampled tokens per second", read_figure("tokens_per_s"), False),
    )
    drawn = []
    for title, note, get, share in wanted:
        line = trace(title, metrics, get)
        if line.points:
            drawn.append(
                charts.draw_lines(
                    title, note, [line], window, share=share, from_zero=title != "auxiliary loss"
                )
            )
    return tuple(drawn)


def _tabulate_terms(
    metrics: Metrics, names: Iterable[str], reward: RewardGraph | None
) -> tuple[TermRow, ...]:
    formulas = describe_terms(reward) if reward else {}
    rows = []
    for name in names:
        mean = average_figure(metrics, _get_term(name), "rollouts")
        fired = average_figure(metrics, read_figure("terms", name, "fired"), "groups")
        changed = average_figure(metrics, read_figure("terms", name, "changed"), "groups")
        rows.append(
            TermRow(
                name=name,
                formula=formulas.get(name, ""),
                mean=format_number(mean),
                fired=format_percent(fired),
                fired_bar=_draw_share("fired", fired, "part0"),
                changed=format_percent(changed),
                changed_bar=_draw_share("changed an advantage", changed, "part2"),
            )
        )
    return tuple(rows)


def _draw_share(name: str, share: float | None, style: str) -> Markup:
    return Markup() if share is None else bars.draw_share(name, share, style)


def _list_facts(stage: StageRecord, metrics: Metrics) -> tuple[tuple[str, str], ...]:
    facts = [("steps", format_count(len(metrics)))]
    for key, words in (("rollouts", "rollouts"), ("tokens", "sampled tokens")):
        values = [value for line in metrics if (value := as_number(line.get(key))) is not None]
        if values:
            facts.append((words, format_count(int(sum(values)))))
    seconds = [value for line in metrics if (value := as_number(line.get("seconds"))) is not None]
    if seconds:
        facts.append(("time per step", format_seconds(sum(seconds) / len(seconds))))
    facts.append(("time", format_seconds(stage.seconds)))
    return tuple(facts)


def _count_losses(metrics: Metrics) -> tuple[tuple[str, str, str], ...]:
    voids = add_counts([as_counts(line.get("voids")) for line in metrics])
    replaced = add_counts([as_counts(line.get("substituted")) for line in metrics])
    dropped = add_counts([as_counts(line.get("dropped")) for line in metrics])
    truncated = sum(as_count(line.get("truncated_turns")) for line in metrics)
    groups = sum(as_count(line.get("groups")) for line in metrics)
    silent = sum(as_count(line.get("groups_without_signal")) for line in metrics)
    share = f"{format_percent(silent / groups)} of {format_count(groups)} groups" if groups else ""
    right = sum(as_count(line.get("right")) for line in metrics)
    punished = sum(as_count(line.get("right_punished")) for line in metrics)
    of_right = f"{format_percent(punished / right)} of {format_count(right)} right ones" if right else ""
    resampled = sum(as_count(line.get("groups_resampled")) for line in metrics)
    return (
        ("right rollouts pushed down", format_count(punished), of_right),
        ("groups without a signal", format_count(silent), share),
        ("groups sampled anew", format_count(resampled), "they had no signal"),
        ("rollouts dropped", format_count(sum(dropped.values())), write_counts(dropped)),
        (
            "failed terms that took the declared value",
            format_count(sum(replaced.values())),
            write_counts(replaced),
        ),
        ("void rollouts", format_count(sum(voids.values())), write_counts(voids)),
        ("turns cut at the token limit", format_count(truncated), ""),
    )
