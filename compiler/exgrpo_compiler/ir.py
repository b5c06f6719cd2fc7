"""Checked declarations: what `check` gives and `lower` takes.

Every name is resolved to the Key of its declaration, every value is typed and converted, every expression is a tree of
`Typed` nodes whose ops are those of `exgrpo_artifact.graph`, and one more: `term` stands for another term of the reward.
Names, file paths and node ids of the artifact are not chosen yet. Contract models are used where nothing is left to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from exgrpo_artifact.graph import Level, OnFailure
from exgrpo_artifact.manifest import AnswerSpec, Model, Source, Split
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.checked_tests import CheckedTest
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import Type


class StudentRole(NamedTuple):
    """`student` in a probes block: the student of whichever task uses it."""


STUDENT: Final = StudentRole()


class AnswerOf(NamedTuple):
    """The answer spec of a gold field's type, unless the task's dialogue has one."""

    type: Type
    is_of_probe: bool = False
    """Whether it is a probe's answer, which the turn after its question is read by."""


class Typed(Record, guarded=False):
    """One checked operation. Params may hold Keys, STUDENT and AnswerOf, which `lower` replaces."""

    op: str
    args: tuple[Typed, ...]
    params: Mapping[str, Any]
    type: Type
    level: Level
    span: Span


class TemplateStep(NamedTuple):
    """A place that a value passed inside of a template, and a sentence about it."""

    span: Span
    text: str


class TemplateRead(Record):
    """A value that reaches a template's output: field `attribute` of `root`, which is `item`, `rule` or a loop's probe.

    `span` is where it is printed, or where a condition on it decides what is; `steps` are the places before that, in order.
    """

    root: str
    attribute: str
    span: Span
    how: Literal["shown", "decides"] = "shown"
    steps: tuple[TemplateStep, ...] = ()


class TemplateClearance(Record):
    """A use of `declassify` in a template, and the reads that it clears."""

    what: str
    reason: str
    span: Span
    reads: tuple[TemplateRead, ...]


class Template(Record):
    """The text of a checked template. `prefix` binds names that its author chose otherwise than the runtime does."""

    text: str
    prefix: str = ""
    reads: tuple[TemplateRead, ...] = ()
    """What reaches its output."""
    clearances: tuple[TemplateClearance, ...] = ()

    @property
    def full_text(self) -> str:
        """The text as the artifact has it."""
        return self.prefix + self.text


class CheckedField(Record):
    """A field of a dataset."""

    name: str
    type: Type
    secret: bool
    value: Typed


class CheckedDataset(Record):
    """A `dataset`."""

    doc: str
    source: Source
    splits: Mapping[str, Split]
    fields: tuple[CheckedField, ...]
    row_type: Type
    license: str | None = None


class CheckedModel(Record):
    """A `model`; the contract's model has its declared name, which `lower` may change."""

    model: Model


class CheckedParam(Record):
    """A field that a rule asks for."""

    name: str
    type: Type
    secret: bool
    span: Span


class CheckedRule(Record):
    """A `rule`."""

    doc: str
    params: tuple[CheckedParam, ...]
    instruction: str
    examples: tuple[tuple[str, str], ...]
    applies_when: Typed | None
    reveals: tuple[str, ...]


class CheckedAnswer(Record):
    """An `answer`."""

    spec: AnswerSpec


class CheckedRubric(Record):
    """A `rubric`."""

    scale: tuple[float, float]
    text: Template


class CheckedYield(Record):
    """A field of the teacher's reply."""

    name: str
    type: Type
    open: bool
    doc: str


class CheckedKeep(Record):
    """A filter."""

    name: str
    subject: Literal["probe", "item"]
    condition: Typed


class CheckedProbes(Record):
    """A `probes` block."""

    dataset: Key
    rules: tuple[Key, ...]
    teacher: Key
    prompt: Template
    yields: tuple[CheckedYield, ...]
    keeps: tuple[CheckedKeep, ...]
    probe_type: Type
    rule_spans: tuple[Span, ...] = ()
    """Where each rule is listed."""
    ask: Literal["per_rule", "together"] = "per_rule"
    samples: int = 1
    per_rule: int | None = None


class CheckedExchange(Record):
    """A user message and the assistant's turn after it."""

    name: str
    user: Template
    target: Template | None
    answer: AnswerSpec | None
    in_loop: bool


class CheckedCut(Record):
    """A scenario."""

    kind: Literal["all", "first", "branch"]
    of: str | None = None
    count: Typed | None = None


class CheckedDialogue(Record):
    """A `dialogue`. `variable` and `count` belong to the loop."""

    doc: str
    dataset: Key
    probes: Key | None
    system: Template | None
    variable: str | None
    count: int | None
    exchanges: tuple[CheckedExchange, ...]
    scenarios: Mapping[str, CheckedCut]
    is_open: bool = False
    """Whether it may have more turns and scenarios than are known, since a part of it is broken."""

    @property
    def closing(self) -> tuple[CheckedExchange, ...]:
        """The exchanges after the loop."""
        return tuple(exchange for exchange in self.exchanges if not exchange.in_loop)

    def get_exchange(self, name: str) -> CheckedExchange | None:
        """The exchange whose assistant turn has this name, or None."""
        return next((exchange for exchange in self.exchanges if exchange.name == name), None)


class CheckedReward(Record):
    """A `reward`. `terms` in source order, `total` last. `scenarios`: those that conditions name, with their place."""

    dialogue: Key
    dataset: Key
    range: tuple[float, float]
    terms: Mapping[str, Typed]
    on_failure: OnFailure
    scenarios: Mapping[str, Span]


class CheckedStage(Record):
    """A stage with every setting known, those that name declarations as their Keys."""

    name: str
    kind: Literal["probe", "sft", "grpo", "evaluate"]
    settings: Mapping[str, Any]
    span: Span


class CheckedTask(Record):
    """A `task`."""

    doc: str
    data: Key
    student: Key
    seed: int
    stages: tuple[CheckedStage, ...]


class CheckedProgram(Record):
    """Every checked declaration by its key, and the tasks of the entry file in source order."""

    edition: int
    sources: Mapping[str, str]
    """Module name -> its text."""
    known: Mapping[Key, Any]
    tasks: Mapping[str, Key]
    scope_names: Mapping[Key, str]
    """Names that the entry file has for declarations."""
    turned_off: tuple[str, ...] = ()
    tests: tuple[CheckedTest, ...] = ()
    """Of the entry file, in source order; broken ones are left out."""
    broken: frozenset[Key] = frozenset()
    """Declarations that are known though something in them is wrong, and was reported: nothing is proved of them."""
