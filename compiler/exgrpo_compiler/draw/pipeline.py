"""A task as a diagram: data, models and stages in order, with filters and what each stage is scored by."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_artifact.manifest import (
    EvaluateStage,
    GrpoStage,
    Model,
    Probes,
    ProbeStage,
    SftStage,
    Stage,
)
from exgrpo_compiler.draw.diagram import Arrow, Box, Diagram, wrap_line
from exgrpo_compiler.lower.task import Lowered

_WIDTH = 34


def draw_pipeline(task: Lowered) -> Diagram:
    """The diagram of a task."""
    return _Drawing(task).draw()


class _Drawing:
    def __init__(self, task: Lowered) -> None:
        self.task = task
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []
        self.probe_ends: dict[str, str] = {}
        """Probes block -> the box that its probes come out of."""
        self.seen: set[str] = set()

    def draw(self) -> Diagram:
        """The diagram."""
        task = self.task
        self._add_data(task.data)
        student = self._add_model(task.student, "student")
        for stage in task.stages:
            id_ = f"stage_{stage.name}"
            if isinstance(stage, ProbeStage):
                self._add_probe_stage(id_, stage, student)
                continue
            self._add_stage(id_, stage)
            self.arrows.append(Arrow(student, id_, "student"))
            if not isinstance(stage, EvaluateStage):
                student = id_
        return Diagram(
            f"task {task.name}",
            f"seed {task.seed}, {len(task.stages)} stages",
            tuple(self.boxes),
            tuple(self.arrows),
        )

    def _add_data(self, name: str) -> str:
        id_ = f"data_{name}"
        if id_ not in self.seen:
            self.seen.add(id_)
            dataset = self.task.datasets[name]
            splits = ", ".join(dataset.splits)
            secret = ", ".join(field.name for field in dataset.fields if field.secret)
            lines = [*wrap_line(f"splits {splits}", _WIDTH)]
            lines += wrap_line(f"secret {secret}", _WIDTH) if secret else ()
            self.boxes.append(Box(id_, "data", name, tuple(lines), dataset.source.kind))
        return id_

    def _add_model(self, name: str, role: str) -> str:
        id_ = f"model_{name}"
        if id_ not in self.seen:
            self.seen.add(id_)
            model = self.task.models[name]
            title = role if name == role else f"{role} {name}"
            self.boxes.append(Box(id_, "model", title, _describe_model(model), model.kind))
        return id_

    def _add_probe_stage(self, id_: str, stage: ProbeStage, student: str) -> None:
        probes = self.task.probes[stage.probes]
        rules = f"{len(probes.rules)} rules: {', '.join(probes.rules)}"
        yields = f"yields {', '.join(('open ' if one.open else '') + one.name for one in probes.yields)}"
        asked = _describe_asking(probes)
        lines = (f"probes {probes.name}", *wrap_line(rules, _WIDTH), *asked, *wrap_line(yields, _WIDTH))
        self.boxes.append(Box(id_, "stage", stage.name, lines, "probe"))
        self.arrows.append(Arrow(self._add_data(probes.dataset), id_, stage.split))
        self.arrows.append(Arrow(self._add_model(probes.teacher, "teacher"), id_, "writes"))
        self.probe_ends[probes.name] = self._add_filters(id_, probes, student)

    def _add_filters(self, id_: str, probes: Probes, student: str) -> str:
        end = id_
        for keep in probes.keeps:
            filter_id = f"{id_}_keep_{keep.name}"
            asked = [
                f"{node.params['fn']} {node.params['model']}"
                for node in keep.condition.nodes
                if node.op == "call" and "model" in node.params
            ]
            lines = tuple(dict.fromkeys(asked))
            self.boxes.append(Box(filter_id, "filter", f"keep {keep.name}", lines, keep.subject))
            self.arrows.append(Arrow(end, filter_id))
            if any(node.params.get("model") == self.task.student for node in keep.condition.nodes):
                self.arrows.append(Arrow(student, filter_id, "student"))
            end = filter_id
        return end

    def _add_stage(self, id_: str, stage: SftStage | GrpoStage | EvaluateStage) -> None:
        self.boxes.append(Box(id_, "stage", stage.name, _describe_stage(stage), stage.kind))
        dialogues = list(stage.mix) if isinstance(stage, SftStage) else [stage.dialogue]
        for name in dialogues:
            probes = self.task.dialogues[name].probes
            if isinstance(stage, EvaluateStage) and self._keeps_none(stage):
                continue
            if probes is not None and probes in self.probe_ends:
                self._connect(self.probe_ends[probes], id_, "probes")
            else:
                self._connect(self._add_data(self.task.dialogues[name].dataset), id_, stage.split)
        if isinstance(stage, EvaluateStage):
            self._connect(self._add_data(stage.dataset), id_, stage.split)
        if isinstance(stage, GrpoStage | EvaluateStage):
            self._connect(self._add_reward(stage.reward), id_, "scores")

    def _keeps_none(self, stage: EvaluateStage) -> bool:
        """Whether the scenario shows the student no probe."""
        count = self.task.dialogues[stage.dialogue].scenarios[stage.scenario].count
        return count is not None and [node.params.get("value") for node in count.nodes] == [0]

    def _add_reward(self, name: str) -> str:
        id_ = f"reward_{name}"
        if id_ in self.seen:
            return id_
        self.seen.add(id_)
        reward = self.task.rewards[name]
        low, high = reward.range
        terms = wrap_line(", ".join(reward.terms), _WIDTH)
        self.boxes.append(Box(id_, "reward", f"reward {name}", (*terms, f"in {low:g}..{high:g}"), "reward"))
        judges = {str(node.params["model"]): None for node in reward.nodes if "model" in node.params}
        for judge in judges:
            self.arrows.append(Arrow(self._add_model(judge, "judge"), id_, "judges"))
        return id_

    def _connect(self, source: str, target: str, label: str) -> None:
        if not any(arrow.source == source and arrow.target == target for arrow in self.arrows):
            self.arrows.append(Arrow(source, target, label))


def _describe_asking(probes: Probes) -> tuple[str, ...]:
    """How the teacher is asked, where it is not once by each rule."""
    parts = ["asked together"] if probes.ask == "together" else []
    parts += [f"{probes.samples} samples"] if probes.samples > 1 else []
    parts += [f"{probes.per_rule} kept of each rule"] if probes.per_rule is not None else []
    return tuple(wrap_line(", ".join(parts), _WIDTH)) if parts else ()


def _describe_model(model: Model) -> tuple[str, ...]:
    if model.scratch is not None:
        size = model.scratch
        return wrap_line(f"{size.layers} layers, width {size.width}, vocab {size.vocab}", _WIDTH)
    lines = list(wrap_line(model.id or "", _WIDTH))
    if model.lora is not None:
        lines.append(f"lora rank {model.lora.rank}")
    return tuple(lines)


def _describe_stage(stage: Stage) -> tuple[str, ...]:
    if isinstance(stage, SftStage):
        mix = ", ".join(
            f"{name} {share:.0%}" if len(stage.mix) > 1 else name for name, share in stage.mix.items()
        )
        return (
            *wrap_line(mix, _WIDTH),
            f"{stage.epochs:g} epoch{'' if stage.epochs == 1 else 's'}, lr {stage.optimizer.lr:g}",
        )
    if isinstance(stage, GrpoStage):
        return (
            *wrap_line(f"{stage.dialogue}: {_count(stage.group)}", _WIDTH),
            *(wrap_line(f"compare {_count(stage.compare)}", _WIDTH) if stage.compare else ()),
            f"{stage.steps} steps, lr {stage.optimizer.lr:g}",
            f"kl {stage.kl:g}, aux {stage.aux:g}, scale {stage.scale}",
        )
    assert isinstance(stage, EvaluateStage)
    return (f"{stage.dialogue}.{stage.scenario}", f"score {stage.reward}.{stage.term}")


def _count(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {scenario}" for scenario, count in counts.items())
