"""manifest.json: everything of a task but its template texts and reward graphs.

The compiler writes every default out, so the runtime has none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.graph import Frozen, Graph
from exgrpo_artifact.record import field

FORMAT = 3
"""The artifact format that this version writes. Readers accept 1..FORMAT: a field that a format adds has a default that means
what older artifacts meant."""


class EnvRef(Frozen):
    """`env(NAME)`: looked up when the run starts, never stored."""

    env: str


class FieldType(Frozen):
    """`text number int bool any`, `choice(...)`, `list[T]`, `{ name: T }`."""

    kind: Literal["text", "number", "int", "bool", "any", "choice", "list", "record"]
    options: tuple[str, ...] = ()
    element: FieldType | None = None
    fields: tuple[RecordField, ...] = ()
    """Of a record, in order."""


class RecordField(Frozen):
    """A field of a record."""

    name: str
    type: FieldType


AnswerKind = Literal[
    "number.last",
    "number.boxed",
    "math.boxed",
    "choice.letter",
    "yesno.last",
    "date.last",
    "text.exact",
    "text.normalized",
    "regex",
]


class AnswerSpec(Frozen):
    """How an answer is read out of a text and when two are the same; see exgrpo_artifact.answers."""

    kind: AnswerKind
    pattern: str | None = None
    """For `regex`: the pattern; its first group, or the whole match, is the answer."""
    which: Literal["first", "last"] = "last"
    type: FieldType | None = None
    """For `regex`: what the matched text is converted to before comparing."""


def read_answer_spec(plain: Mapping[str, Any]) -> AnswerSpec:
    """The spec that a node's static parameter `answer` stands for.

    Raises:
        ArtifactError: it is none.
    """
    try:
        return AnswerSpec(**{**plain, "type": _read_field_type(plain.get("type"))})
    except (TypeError, KeyError) as error:
        raise ArtifactError(
            f"the artifact has a malformed answer spec ({error}). Compile the spec again."
        ) from error


def _read_field_type(plain: Mapping[str, Any] | None) -> FieldType | None:
    if plain is None:
        return None
    element = _read_field_type(plain.get("element"))
    fields = tuple(
        RecordField(name=inner["name"], type=kind)
        for inner in plain.get("fields", ())
        if (kind := _read_field_type(inner["type"])) is not None
    )
    return FieldType(
        kind=plain["kind"], options=tuple(plain.get("options", ())), element=element, fields=fields
    )


# --- data -------------------------------------------------------------------------------------------------


SourceKind = Literal["hf", "jsonl", "csv", "parquet", "arrow", "plugin"]


class Source(Frozen):
    """Where rows come from.

    `hf`: location = repo or local path, options {config, revision, streaming}. `jsonl` `csv` `parquet` `arrow`: location =
    one file, or `parts` by name. `plugin`: location = entry point name in the group `exgrpo.sources`, options its keywords.
    """

    kind: SourceKind
    location: str | None = None
    parts: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


class Split(Frozen):
    """A named part of a dataset: a `part` of the source by name, or a `fraction` of all rows in source order."""

    part: str | None = None
    fraction: float | None = None
    start: float | None = None
    """With `fraction`: the fraction of the rows that earlier splits take."""


class DataField(Frozen):
    """A typed field; `value` is computed over the source row (`column` nodes)."""

    name: str
    type: FieldType
    secret: bool
    value: Graph


class Dataset(Frozen):
    """A `dataset` declaration."""

    name: str
    doc: str = ""
    source: Source
    splits: dict[str, Split]
    """In declaration order; fractions partition the rows in that order."""
    fields: tuple[DataField, ...]
    license: str | None = None
    """What the author says that the rows may be used for, as an SPDX id or a sentence; for the card of what is made of them."""


# --- models -----------------------------------------------------------------------------------------------


class Sampling(Frozen):
    """Sampling of a teacher or judge. `None`: the endpoint's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


class Lora(Frozen):
    """Low-rank adapters through peft. `target` None: every linear layer."""

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.0
    target: tuple[str, ...] | None = None


class Scratch(Frozen):
    """A small Llama-style model built from a config, with a byte-level BPE tokenizer trained on the train split."""

    layers: int
    width: int
    heads: int
    vocab: int
    context: int = 4096
    """Positions, in tokens."""


class Price(Frozen):
    """US dollars per million tokens."""

    input: float
    output: float


class Limits(Frozen):
    """Per minute; `concurrency` is requests in flight."""

    requests: float | None = None
    tokens: float | None = None
    concurrency: int = 8


ModelKind = Literal["openai", "hf", "scratch", "plugin", "replay"]


class Model(Frozen):
    """A `model` declaration. Roles (teacher, student, judge) come from where it is used."""

    name: str
    kind: ModelKind
    id: str | None = None
    """openai: the model's id at the endpoint; hf: repo or local path; plugin: entry point in `exgrpo.teachers`; replay: path
    of recorded replies (a store `.sqlite`, `.jsonl` or `.parquet`), relative to the directory that the command runs in."""
    revision: str | None = None
    base_url: str | EnvRef | None = None
    more_urls: tuple[str | EnvRef, ...] = ()
    """Further endpoints that serve the same model; requests are spread over `base_url` and these."""
    api_key: EnvRef | None = None
    sampling: Sampling = Sampling()
    budget_usd: float | None = None
    timeout_s: float = 60.0
    tries: int = 4
    """Attempts at one request whose failure may pass (429, 5xx, time-out, broken connection)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    lora: Lora | None = None
    scratch: Scratch | None = None
    price: Price | None = None
    limits: Limits = Limits()
    options: dict[str, Any] = field(default_factory=dict)
    """plugin: its keyword arguments."""
    json: Literal["auto", "schema", "object", "off"] = "auto"
    """How a reply's JSON is asked for: by a schema that the server enforces, as any JSON object, or in the prompt's words alone.
    `auto`: by schema, and by less where the endpoint refuses that."""
    license: str | None = None
    """What the author says that the model's replies may be used for; for the card of what is made of them."""


# --- probes -----------------------------------------------------------------------------------------------


class RuleParam(Frozen):
    """A field that a rule asks its dataset for."""

    name: str
    type: FieldType
    secret: bool


class Rule(Frozen):
    """A `rule` declaration, ready for the teacher's prompt."""

    name: str
    doc: str = ""
    params: tuple[RuleParam, ...] = ()
    instruction: str
    examples: tuple[tuple[str, str], ...] = ()
    """(question, probe) pairs."""
    applies_when: Graph | None = None
    """Over `item` nodes; the rule is skipped for a row where it is not true."""
    reveals: tuple[str, ...] = ()
    """Fields that the probe states on purpose. Such probes are never sampled before a rollout's final question."""


class Yield(Frozen):
    """A field of the teacher's reply. `open`: it may be shown to the student."""

    name: str
    type: FieldType
    open: bool


class Keep(Frozen):
    """A filter. `probe`: evaluated for each probe; `item`: once for the row, over the probes left."""

    name: str
    subject: Literal["probe", "item"]
    condition: Graph


class Probes(Frozen):
    """A `probes` declaration. The prompt template sees `item`, and `rule` or `rules` as `ask` says; it ends with the reply format."""

    name: str
    dataset: str
    rules: tuple[str, ...]
    teacher: str
    prompt: str
    """Path of the template inside the artifact."""
    yields: tuple[Yield, ...]
    keeps: tuple[Keep, ...]
    ask: Literal["per_rule", "together"] = "per_rule"
    """`per_rule`: a request for each row and rule. `together`: one for each row, whose reply has an object under each rule's name."""
    samples: int = 1
    """Answers to each request."""
    per_rule: int | None = None
    """Probes of one row and rule that are kept at most, the first that pass every filter; None: all of them."""


# --- dialogues --------------------------------------------------------------------------------------------


class Exchange(Frozen):
    """One user message and the assistant's turn after it.

    `user` and `target` are paths of templates; `target` is the teacher's wording for SFT, None where there is none.
    """

    name: str
    user: str
    target: str | None
    answer: AnswerSpec | None = None


class ProbeLoop(Frozen):
    """`for probe in sample(probes, k) { … }`. `count` None: every probe, in stored order."""

    variable: str
    count: int | None
    exchanges: tuple[Exchange, ...]


class Cut(Frozen):
    """How many of the sampled probes a scenario keeps.

    `all`; `first` n = value of `count` (ops const, k, arithmetic, call uniform: an integer drawn once per rollout, ends
    included); `branch`: leaves a rollout of scenario `of` after `count` probes.
    """

    kind: Literal["all", "first", "branch"]
    of: str | None = None
    count: Graph | None = None


class Dialogue(Frozen):
    """A `dialogue` declaration: system, optional probe loop, then the closing exchanges (at least one)."""

    name: str
    doc: str = ""
    dataset: str
    probes: str | None
    system: str | None
    loop: ProbeLoop | None
    closing: tuple[Exchange, ...]
    scenarios: dict[str, Cut]


class Rubric(Frozen):
    """A `rubric` declaration: `text` is the path of the judge's template."""

    name: str
    scale: tuple[float, float]
    text: str


# --- stages -----------------------------------------------------------------------------------------------


class ProbeStage(Frozen):
    """Ask the teacher for probes and filter them."""

    kind: Literal["probe"] = "probe"
    name: str
    probes: str
    split: str


class Optimizer(Frozen):
    """`adamw`, or `muon` (hidden 2-D weights; AdamW at `embed_lr` for embeddings, head and norms)."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: float
    embed_lr: float = 3e-3
    weight_decay: float = 0.0
    warmup_steps: int = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    max_grad_norm: float = 1.0


class SftStage(Frozen):
    """Supervised fine-tuning on dialogues; loss on assistant turns only."""

    kind: Literal["sft"] = "sft"
    name: str
    mix: dict[str, float]
    """Dialogue -> share of the rows seen; sums to 1."""
    split: str
    epochs: float
    """Passes over the rows of the largest dialogue of the mix."""
    turns: tuple[str, ...] | None = None
    """Assistant turns that carry the loss; None: all of them."""
    batch: int
    """Dialogues per optimizer step."""
    optimizer: Optimizer


class Signal(Frozen):
    """Where a stage can learn: between these means of a term, over half of its groups have two different totals."""

    term: str
    """1 where an answer is right, else 0."""
    low: float
    high: float


class GrpoStage(Frozen):
    """ExGRPO: GRPO over probe dialogues."""

    kind: Literal["grpo"] = "grpo"
    name: str
    dialogue: str
    reward: str
    split: str
    group: dict[str, int]
    """Scenario -> rollouts sampled, scored and trained as one group."""
    compare: dict[str, int] = field(default_factory=dict)
    """Scenario -> rollouts sampled and scored only."""
    items: int
    """Questions per step."""
    steps: int
    optimizer: Optimizer
    kl: float
    """Weight of KL(policy || model at the start of the stage), k3 estimate, nats per token."""
    clip: float
    clip_high: float | None = None
    aux: float
    """Weight of the auxiliary SFT loss (Eq. 8)."""
    aux_batch: int
    """Dialogues per step in the auxiliary loss."""
    scale: Literal["group", "batch", "none"]
    baseline: Literal["group", "scenario"]
    loss: Literal["grpo", "dapo", "bnpo", "dr_grpo"]
    temperature: float
    top_p: float
    max_new: int
    """New tokens per assistant turn."""
    kl_gradient: Literal["unbiased", "k3"] = "unbiased"
    """`unbiased`: each token's k3 is multiplied by its ratio, so that the gradient is the KL's; `k3`: it is not."""
    truncated: Literal["train", "mask"] = "train"
    """Whether the tokens of a turn that ran into `max_new` are trained."""
    silent: Literal["keep", "skip"] = "keep"
    """`skip`: the tokens of a group without any advantage are in no KL and no normaliser."""
    resample: int = 0
    """Times that the rollouts of a group without any advantage are sampled anew."""
    signal: Signal | None = None
    """None where it cannot be told, or the artifact is of format 1."""


class EvaluateStage(Frozen):
    """Greedy decoding of one scenario, scored with one term of a reward."""

    kind: Literal["evaluate"] = "evaluate"
    name: str
    dialogue: str
    scenario: str
    dataset: str
    split: str
    reward: str
    term: str
    max_new: int


Stage = ProbeStage | SftStage | GrpoStage | EvaluateStage
"""Told apart by `kind`."""


# --- the whole --------------------------------------------------------------------------------------------


class Hashes(Frozen):
    """sha256 per layer, so that a changed reward weight never invalidates probes that were paid for."""

    data: str
    prompts: str
    reward: str
    train: str


class Provenance(Frozen):
    """What the artifact was made from. No path of a machine, no time."""

    compiler: str
    sources: dict[str, str]
    """Module name (or file name of the entry spec) -> sha256 of its text."""
    overrides: tuple[str, ...] = ()
    """Each `--set` as given."""
    turned_off: tuple[str, ...] = ()
    """Filters, stages and terms turned off with `--set NAME=off`, as `invert.in_reach`."""


class Declassified(Frozen):
    """A use of `declassify`: a secret that the author lets pass."""

    where: str
    """A field of a dataset, a prompt or a message, in words."""
    what: str
    """The expression, as written."""
    reason: str


class Manifest(Frozen):
    """Content of manifest.json."""

    format: int = FORMAT
    edition: int
    task: str
    doc: str = ""
    seed: int
    data: str
    student: str
    datasets: dict[str, Dataset]
    models: dict[str, Model]
    rules: dict[str, Rule]
    probes: dict[str, Probes]
    dialogues: dict[str, Dialogue]
    rubrics: dict[str, Rubric]
    stages: tuple[Stage, ...]
    hashes: Hashes
    files: dict[str, str]
    """Path inside the artifact -> sha256 of its text, for every file but manifest.json."""
    provenance: Provenance
    declassified: tuple[Declassified, ...] = ()
    """Every secret that is let pass, for whoever reviews the task."""
    content_hash: str = ""
    """hash_value of this manifest with `content_hash` empty."""
