"""Datasets, models, rules, probes, dialogues and rubrics in the artifact's form."""

from __future__ import annotations

from exgrpo_artifact.manifest import (
    Cut,
    DataField,
    Dataset,
    Dialogue,
    Exchange,
    Keep,
    Model,
    ProbeLoop,
    Probes,
    Rubric,
    Rule,
    RuleParam,
    Yield,
)
from exgrpo_artifact.record import replace
from exgrpo_compiler.ir import (
    CheckedCut,
    CheckedDataset,
    CheckedDialogue,
    CheckedExchange,
    CheckedModel,
    CheckedProbes,
    CheckedRubric,
    CheckedRule,
)
from exgrpo_compiler.lower.graphs import lower_graph
from exgrpo_compiler.lower.names import Scene
from exgrpo_compiler.lower.prompts import get_prompt_path, get_system_path, get_target_path, get_user_path
from exgrpo_compiler.program import Key
from exgrpo_compiler.value_types import to_field_type


def lower_dataset(scene: Scene, key: Key) -> Dataset:
    """A dataset with its field graphs."""
    dataset: CheckedDataset = scene.get(key)
    fields = tuple(
        DataField(
            name=field.name,
            type=to_field_type(field.type),
            secret=field.secret,
            value=lower_graph(scene, field.value),
        )
        for field in dataset.fields
    )
    return Dataset(
        name=scene.names[key],
        doc=dataset.doc,
        source=dataset.source,
        splits=dict(dataset.splits),
        fields=fields,
        license=dataset.license,
    )


def lower_model(scene: Scene, key: Key) -> Model:
    """A model under its artifact name."""
    model: CheckedModel = scene.get(key)
    return replace(model.model, name=scene.names[key])


def lower_rule(scene: Scene, key: Key) -> Rule:
    """A rule."""
    rule: CheckedRule = scene.get(key)
    params = tuple(
        RuleParam(name=param.name, type=to_field_type(param.type), secret=param.secret)
        for param in rule.params
    )
    return Rule(
        name=scene.names[key],
        doc=rule.doc,
        params=params,
        instruction=rule.instruction,
        examples=rule.examples,
        applies_when=lower_graph(scene, rule.applies_when) if rule.applies_when is not None else None,
        reveals=rule.reveals,
    )


def lower_probes(scene: Scene, key: Key) -> Probes:
    """A probes block with its filter graphs."""
    probes: CheckedProbes = scene.get(key)
    name = scene.names[key]
    return Probes(
        name=name,
        dataset=scene.names[probes.dataset],
        rules=tuple(scene.names[rule] for rule in probes.rules),
        teacher=scene.names[probes.teacher],
        prompt=get_prompt_path(name),
        yields=tuple(
            Yield(name=field.name, type=to_field_type(field.type), open=field.open) for field in probes.yields
        ),
        keeps=tuple(
            Keep(name=keep.name, subject=keep.subject, condition=lower_graph(scene, keep.condition, key))
            for keep in probes.keeps
        ),
        ask=probes.ask,
        samples=probes.samples,
        per_rule=probes.per_rule,
    )


def lower_dialogue(scene: Scene, key: Key) -> Dialogue:
    """A dialogue; its templates are files."""
    dialogue: CheckedDialogue = scene.get(key)
    name = scene.names[key]
    looped = tuple(_lower_exchange(name, item) for item in dialogue.exchanges if item.in_loop)
    loop = None
    if dialogue.variable is not None and looped:
        loop = ProbeLoop(variable=dialogue.variable, count=dialogue.count, exchanges=looped)
    return Dialogue(
        name=name,
        doc=dialogue.doc,
        dataset=scene.names[dialogue.dataset],
        probes=scene.names[dialogue.probes] if dialogue.probes is not None else None,
        system=get_system_path(name) if dialogue.system is not None else None,
        loop=loop,
        closing=tuple(_lower_exchange(name, item) for item in dialogue.closing),
        scenarios={scenario: _lower_cut(scene, cut) for scenario, cut in dialogue.scenarios.items()},
    )


def _lower_exchange(dialogue: str, exchange: CheckedExchange) -> Exchange:
    return Exchange(
        name=exchange.name,
        user=get_user_path(dialogue, exchange.name),
        target=get_target_path(dialogue, exchange.name) if exchange.target is not None else None,
        answer=exchange.answer,
    )


def _lower_cut(scene: Scene, cut: CheckedCut) -> Cut:
    return Cut(
        kind=cut.kind, of=cut.of, count=lower_graph(scene, cut.count) if cut.count is not None else None
    )


def lower_rubric(scene: Scene, key: Key) -> Rubric:
    """A rubric; its template is a file."""
    rubric: CheckedRubric = scene.get(key)
    name = scene.names[key]
    return Rubric(name=name, scale=rubric.scale, text=get_prompt_path(name))
