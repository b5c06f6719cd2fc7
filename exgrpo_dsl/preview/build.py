"""Every prompt and dialogue of a task in the words of one row, made by the code that a run makes them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exgrpo_artifact.evaluate import find_external_nodes
from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.manifest import Cut, Dialogue, EvaluateStage, GrpoStage, Manifest, Probes, Rule
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.values import read_path
from exgrpo_dsl.preview.marks import Part, open_templates, split_parts
from exgrpo_dsl.preview.rows import ShownRow, make_probes, mark_probes
from exgrpo_runtime.plans import PlannedTurn, cut_probes, draw_probes, make_rng, make_seed, plan_dialogue
from exgrpo_runtime.probing.questions import choose_rules, group_rules, render_prompt
from exgrpo_runtime.records import Probe
from exgrpo_runtime.teachers.judge import word_same_question, word_score_question
from exgrpo_runtime.templates import TemplateSet


class Message(NamedTuple):
    """One message. `turn` names an assistant turn; its text is the teacher's wording, or empty where the dialogue has none."""

    role: str
    parts: tuple[Part, ...]
    turn: str | None = None


class Section(NamedTuple):
    """What one reader is given: a teacher, a student, a judge."""

    kind: str
    """teacher, dialogue, judge, evaluate."""
    title: str
    notes: tuple[str, ...]
    messages: tuple[Message, ...]


class Preview(NamedTuple):
    """A task with one row."""

    task: str
    row: str
    fields: tuple[tuple[str, tuple[Part, ...]], ...]
    sections: tuple[Section, ...]


def build_preview(
    manifest: Manifest,
    prompts: Mapping[str, str],
    rewards: Mapping[str, RewardGraph],
    row: ShownRow,
    probes: Sequence[Probe] | None = None,
) -> Preview:
    """The preview of a task.

    Args:
        manifest: of the task.
        prompts: its templates by path.
        rewards: its reward graphs.
        row: what everything is about.
        probes: of the row, as a run made them; None: names stand for what teachers have not yielded.

    Raises:
        ArtifactError: a template cannot be rendered for this row.
    """
    maker = _Maker(manifest, open_templates(prompts), row, probes)
    sections = [section for name in manifest.probes for section in maker.show_teacher(manifest.probes[name])]
    for dialogue in _list_dialogues(manifest):
        sections += maker.show_dialogue(dialogue)
    for stage in manifest.stages:
        if stage.kind == "evaluate":
            sections.append(maker.show_evaluation(stage))
    for reward in rewards.values():
        sections += maker.show_judges(reward)
    return Preview(manifest.task, row.plain.uid, _show_fields(manifest, row), tuple(sections))


def _show_fields(manifest: Manifest, row: ShownRow) -> tuple[tuple[str, tuple[Part, ...]], ...]:
    """The fields as text; a truth value as the language writes it."""
    secret = {field.name for field in manifest.datasets[manifest.data].fields if field.secret}
    return tuple(
        (name, (Part(str(value).lower(), f"item.{name}" if name in secret else None),))
        if isinstance(value, bool)
        else (name, split_parts(str(row.marked.fields[name])))
        for name, value in row.plain.fields.items()
    )


def _list_dialogues(manifest: Manifest) -> list[Dialogue]:
    """Those that the stages hold, in the stages' order."""
    names: dict[str, None] = {}
    for stage in manifest.stages:
        if stage.kind == "sft":
            names.update(dict.fromkeys(stage.mix))
        elif stage.kind in ("grpo", "evaluate"):
            names[stage.dialogue] = None
    return [manifest.dialogues[name] for name in names]


class _Maker:
    def __init__(
        self, manifest: Manifest, templates: TemplateSet, row: ShownRow, probes: Sequence[Probe] | None
    ) -> None:
        self.manifest = manifest
        self.templates = templates
        self.row = row
        self.given = probes
        self.secret_yields: dict[str, frozenset[str]] = {}

    # --- teachers -------------------------------------------------------------------------------------------

    def show_teacher(self, probes: Probes) -> list[Section]:
        """Every request about the row: one for each rule that applies, or one for all of them."""
        applying = choose_rules(self.manifest, probes, self.row.plain.fields)
        skipped = [
            self.manifest.rules[name] for name in probes.rules if self.manifest.rules[name] not in applying
        ]
        sections: dict[str, Section] = {rule.name: self._show_skipped(probes, rule) for rule in skipped}
        has_secret = False
        for rules in group_rules(probes, applying):
            text = render_prompt(self.templates, probes, self.row.marked.fields, rules)
            parts = split_parts(text)
            has_secret = has_secret or any(part.secret for part in parts)
            message = Message("user", parts)
            title = self._title(probes, rules)
            sections[rules[0].name] = Section("teacher", title, _describe_asking(probes, rules), (message,))
        # What a teacher who was shown a secret writes is secret too, but for what the spec declares open.
        self.secret_yields[probes.name] = frozenset(
            field.name for field in probes.yields if has_secret and not field.open
        )
        return [sections[name] for name in probes.rules if name in sections]

    def _show_skipped(self, probes: Probes, rule: Rule) -> Section:
        notes = ("its `applies_when` is not true of this row, so nothing is asked",)
        return Section("teacher", self._title(probes, [rule]), notes, ())

    def _title(self, probes: Probes, rules: Sequence[Rule]) -> str:
        names = ", ".join(f"`{rule.name}`" for rule in rules)
        which = f"rule {names} asks" if len(rules) == 1 else f"rules {names} ask"
        return f"{probes.name}: {which} teacher `{probes.teacher}`"

    # --- dialogues ------------------------------------------------------------------------------------------

    def show_dialogue(self, dialogue: Dialogue) -> list[Section]:
        """Each scenario with one draw of its cut, or the whole dialogue where it has none."""
        probes = self._get_probes(dialogue)
        if not dialogue.scenarios:
            plan = plan_dialogue(dialogue, self.row.marked, probes, self.templates, "")
            notes = [_describe_k(plan.num_probes)] if dialogue.loop is not None else []
            return [self._make_section("dialogue", dialogue, "", plan.system, plan.turns, notes)]
        sections = []
        for scenario, cut in dialogue.scenarios.items():
            stage = _find_stage(self.manifest, dialogue, scenario)
            name, place = (stage[0].name, stage[1]) if stage else ("", 0)
            seed = self.manifest.seed
            drawn = draw_probes(
                dialogue.loop,
                probes,
                for_rollout=True,
                rng=make_rng(seed, name, "probes", self.row.plain.uid, 0),
            )
            kept = cut_probes(
                cut, len(drawn), make_rng(make_seed(seed, name, 0, self.row.plain.uid, place), "cut")
            )
            sections.append(self._show_scenario(dialogue, scenario, drawn, kept, cut))
        return sections

    def _show_scenario(
        self, dialogue: Dialogue, scenario: str, drawn: Sequence[Probe], kept: int | None, cut: Cut
    ) -> Section:
        if kept is None:
            note = f"k = {len(drawn)}: too few probes, so there is no such rollout of this row"
            return Section("dialogue", f"{dialogue.name}.{scenario}", (note,), ())
        notes = [_describe_k(len(drawn))] if dialogue.loop is not None else []
        if dialogue.loop is not None:
            how = (
                "as one draw"
                if cut.count is not None and any(n.op == "call" for n in cut.count.nodes)
                else "always"
            )
            notes.append(f"{kept} of them stand before the question ({how})")
        if cut.kind == "branch":
            notes.append(f"leaves a rollout of `{cut.of}` there and shares what came before")
        plan = plan_dialogue(dialogue, self.row.marked, drawn[:kept], self.templates, scenario)
        return self._make_section("dialogue", dialogue, scenario, plan.system, plan.turns, notes)

    def _make_section(
        self,
        kind: str,
        dialogue: Dialogue,
        scenario: str,
        system: str | None,
        turns: Sequence[PlannedTurn],
        notes: Sequence[str],
        *,
        with_targets: bool = True,
    ) -> Section:
        messages = [] if system is None else [Message("system", split_parts(system))]
        for turn in turns:
            messages.append(Message("user", split_parts(turn.user)))
            target = turn.target if with_targets and turn.target is not None else ""
            messages.append(Message("assistant", split_parts(target), turn.name))
        title = f"{dialogue.name}.{scenario}" if scenario else dialogue.name
        return Section(kind, title, tuple(notes), tuple(messages))

    def _get_probes(self, dialogue: Dialogue) -> list[Probe]:
        if dialogue.probes is None:
            return []
        if dialogue.probes not in self.secret_yields:
            self.show_teacher(self.manifest.probes[dialogue.probes])
        secret = self.secret_yields[dialogue.probes]
        if self.given is not None:
            return mark_probes(self.given, secret)
        return make_probes(self.manifest, dialogue, self.row.plain.uid, secret)

    def show_evaluation(self, stage: EvaluateStage) -> Section:
        """What the student is shown when it is measured: no wording of the teacher's."""
        dialogue = self.manifest.dialogues[stage.dialogue]
        rng = make_rng(self.manifest.seed, stage.name, self.row.plain.uid)
        drawn = draw_probes(dialogue.loop, self._get_probes(dialogue), for_rollout=True, rng=rng)
        kept = cut_probes(dialogue.scenarios[stage.scenario], len(drawn), rng)
        notes = [
            f"stage `{stage.name}`: greedy, at most {stage.max_new} tokens a turn, on split `{stage.split}`, "
            f"scored with {stage.reward}.{stage.term}"
        ]
        if kept is None:
            return Section("evaluate", f"{dialogue.name}.{stage.scenario}", (*notes, "too few probes"), ())
        plan = plan_dialogue(dialogue, self.row.marked, drawn[:kept], self.templates, stage.scenario)
        return self._make_section(
            "evaluate", dialogue, stage.scenario, plan.system, plan.turns, notes, with_targets=False
        )

    # --- judges ---------------------------------------------------------------------------------------------

    def show_judges(self, reward: RewardGraph) -> list[Section]:
        """What judges are asked, with the teacher's wording in place of what the student will say."""
        nodes = {node.id: node for node in reward.nodes}
        dialogue = self.manifest.dialogues[reward.dialogue]
        sections: list[Section] = []
        for node in find_external_nodes(reward):
            if node.params["fn"] == "similarity":
                continue  # two texts are compared, and nobody is asked
            judge = self.manifest.models[node.params["model"]]
            texts = [self._find_text(dialogue, nodes[arg]) for arg in node.args]
            if node.params["fn"] == "judge.same":
                content = word_same_question(texts[0], texts[1])
            else:
                rubric = self.manifest.rubrics[node.params["rubric"]]
                content = word_score_question(self.templates.render(rubric.text), rubric, texts[0])
            title = f"{reward.name}: {node.params['fn']} asks judge `{judge.name}`"
            sections.append(Section("judge", title, (), (Message("user", split_parts(content)),)))
        return sections

    def _find_text(self, dialogue: Dialogue, node: Node) -> str:
        if node.op == "item":
            return str(read_path(self.row.marked.fields, node.params["field"]))
        if node.op == "const":
            return str(node.params["value"])
        if node.op != "turn":
            return "«a text that the reward computes»"
        plan = plan_dialogue(dialogue, self.row.marked, self._get_probes(dialogue), self.templates, "")
        turn = next((turn for turn in plan.turns if turn.name == node.params["name"] and turn.target), None)
        return f"«what the student says in `{node.params['name']}`»" if turn is None else str(turn.target)


def _describe_asking(probes: Probes, rules: Sequence[Rule]) -> tuple[str, ...]:
    notes = [f"asked {probes.samples} times"] if probes.samples > 1 else []
    revealing = [rule.name for rule in rules if rule.reveals]
    if revealing:
        whose = "its probes state" if len(rules) == 1 else f"probes of {', '.join(revealing)} state"
        notes.append(f"{whose} the answer on purpose and never stand before a final question")
    return tuple(notes)


def _describe_k(number: int) -> str:
    return f"k = {number} probe{'' if number == 1 else 's'}"


def _find_stage(manifest: Manifest, dialogue: Dialogue, scenario: str) -> tuple[GrpoStage, int] | None:
    """The stage that samples the scenario, and the first place of it in a group."""
    for stage in manifest.stages:
        if stage.kind == "grpo" and stage.dialogue == dialogue.name:
            place = 0
            for name, count in [*stage.group.items(), *stage.compare.items()]:
                if name == scenario and count:
                    return stage, place
                place += count
    return None
