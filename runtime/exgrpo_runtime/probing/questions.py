"""What a probe stage asks: rows and rules to requests.

Pure, and the one place that says it: `exgrpo plan` counts these questions, the stage sends them, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.manifest import Manifest, Probes, ProbeStage, Rule
from exgrpo_artifact.storage import Artifact
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value
from exgrpo_runtime.probing.reply_schema import build_schema
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.teacher import Message, Request
from exgrpo_runtime.templates import TemplateSet


class Question(NamedTuple):
    """One thing to ask the teacher for."""

    row: Row
    rules: tuple[Rule, ...]
    """One where each rule is asked by itself; all that apply to the row where they are asked together."""
    sample: int
    """Which of the `samples` answers, from 0."""
    request: Request


def build_questions(
    artifact: Artifact, templates: TemplateSet, stage: ProbeStage, rows: Iterable[Row]
) -> Iterator[Question]:
    """The questions in the order rows x rules x samples, made as they are taken; no row is held.

    A rule whose `applies_when` is not true of a row is not asked, and a row that no rule applies to has no question.

    Raises:
        ArtifactError: the prompt cannot be rendered for a row.
    """
    manifest = artifact.manifest
    declaration = manifest.probes[stage.probes]
    teacher = manifest.models[declaration.teacher]
    for row in rows:
        for rules in group_rules(declaration, choose_rules(manifest, declaration, row.fields)):
            content = render_prompt(templates, declaration, row.fields, rules)
            messages = (Message(role="user", content=content),)
            schema = describe_reply(declaration, rules)
            for sample in range(declaration.samples):
                request = Request(teacher, messages, sample=sample, schema=schema)
                yield Question(row, rules, sample, request)


def choose_rules(manifest: Manifest, declaration: Probes, item: Mapping[str, Any]) -> list[Rule]:
    """The rules that apply to a row with these fields, in the order of the declaration."""
    rules = [manifest.rules[name] for name in declaration.rules]
    return [
        rule
        for rule in rules
        if rule.applies_when is None or is_true(evaluate_graph(rule.applies_when, item=item))
    ]


def group_rules(declaration: Probes, rules: Sequence[Rule]) -> list[tuple[Rule, ...]]:
    """The rules that share a request: each by itself, or all together."""
    if declaration.ask == "together":
        return [tuple(rules)] if rules else []
    return [(rule,) for rule in rules]


def describe_reply(declaration: Probes, rules: Sequence[Rule]) -> Mapping[str, Any]:
    """The JSON Schema of the reply to a request by these rules."""
    names = [rule.name for rule in rules] if declaration.ask == "together" else None
    return build_schema(declaration.yields, names)


def render_prompt(
    templates: TemplateSet, declaration: Probes, item: Mapping[str, Any], rules: Sequence[Rule]
) -> str:
    """The teacher's prompt about a row.

    Raises:
        ArtifactError: it cannot be rendered for these values.
    """
    described = [_describe_rule(rule) for rule in rules]
    if declaration.ask == "together":
        return templates.render(declaration.prompt, item=item, rules=described)
    return templates.render(declaration.prompt, item=item, rule=described[0])


def is_true(value: Value) -> bool:
    """Whether a condition is met; one that is not-applicable or failed is not."""
    return value is not NOT_APPLICABLE and not isinstance(value, Failed) and bool(value)


def _describe_rule(rule: Rule) -> dict[str, Any]:
    """The rule as templates read it."""
    return {
        "name": rule.name,
        "doc": rule.doc,
        "instruction": rule.instruction,
        "examples": [{"question": question, "probe": probe} for question, probe in rule.examples],
    }
