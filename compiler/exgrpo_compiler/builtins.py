"""What the language knows by itself: functions, answer kinds, and the settings of models and stages with their defaults.

One table for each, from which checks are made. A default stands here and nowhere else; the artifact has it written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from exgrpo_artifact.record import Record
from exgrpo_compiler.value_types import ANY, BOOL, INT, NUMBER, TEXT, Type, list_of

# --- functions ----------------------------------------------------------------------------------------------


class Param(Record):
    """A parameter. `same_unit` parameters of one function must agree in their unit."""

    name: str
    type: Type
    is_required: bool = True
    same_unit: bool = False


class Function(Record):
    """A pure function; its artifact form is a `call` node with its name. `keeps_unit`: the result has the unit too."""

    name: str
    params: tuple[Param, ...]
    result: Type
    keeps_unit: bool = False
    is_filter: bool = False
    """Whether templates and field pipes have it."""
    is_variadic: bool = False
    doc: str = ""
    """What it gives, in one line."""


_X = Param("x", NUMBER, same_unit=True)
_TEXT = Param("text", TEXT)
_LIST = Param("list", list_of(ANY))

FUNCTIONS: Final[Mapping[str, Function]] = {
    function.name: function
    for function in (
        Function(
            "before",
            (_TEXT, Param("mark", TEXT)),
            TEXT,
            is_filter=True,
            doc="the text before the first `mark`; a row without one is rejected",
        ),
        Function(
            "after",
            (_TEXT, Param("mark", TEXT)),
            TEXT,
            is_filter=True,
            doc="the text after the first `mark`; a row without one is rejected",
        ),
        Function(
            "strip",
            (_TEXT,),
            TEXT,
            is_filter=True,
            doc="the text without surrounding blanks",
        ),
        Function(
            "lower",
            (_TEXT,),
            TEXT,
            is_filter=True,
            doc="the text in lower case",
        ),
        Function(
            "words",
            (_TEXT,),
            INT,
            is_filter=True,
            doc="how many words, as separated by blanks",
        ),
        Function(
            "sentences",
            (_TEXT,),
            INT,
            is_filter=True,
            doc="how many sentences: pieces that end in `.`, `!` or `?` before a blank or the end",
        ),
        Function(
            "lines",
            (_TEXT,),
            INT,
            is_filter=True,
            doc="how many lines; a final line end adds none",
        ),
        Function(
            "number",
            (Param("x", ANY),),
            NUMBER,
            is_filter=True,
            doc="the number that the whole text is",
        ),
        Function(
            "first",
            (_LIST,),
            ANY,
            is_filter=True,
            doc="the first item; not applicable where there is none",
        ),
        Function(
            "last",
            (_LIST,),
            ANY,
            is_filter=True,
            doc="the last item; not applicable where there is none",
        ),
        Function(
            "json",
            (_TEXT,),
            ANY,
            is_filter=True,
            doc="what the text says as strict JSON",
        ),
        Function(
            "round",
            (Param("x", NUMBER), Param("digits", INT, is_required=False)),
            NUMBER,
            is_filter=True,
            doc="rounded to `digits` decimals (0), halves away from zero",
        ),
        Function(
            "shuffle",
            (_LIST, Param("seed", INT)),
            list_of(ANY),
            is_filter=True,
            doc="the items in an order that depends on the seed only",
        ),
        Function(
            "declassify",
            (Param("x", ANY), Param("reason", TEXT)),
            ANY,
            is_filter=True,
            doc="`x` itself, no longer secret",
        ),
        Function(
            "contains",
            (_TEXT, Param("needle", TEXT)),
            NUMBER,
            doc="1 where the needle stands in the text, else 0",
        ),
        Function(
            "clip",
            (_X, Param("a", NUMBER, same_unit=True), Param("b", NUMBER, same_unit=True)),
            NUMBER,
            True,
            doc="`x`, but never below `a` or above `b`",
        ),
        Function(
            "ramp",
            (_X, Param("from", NUMBER, same_unit=True), Param("to", NUMBER, same_unit=True)),
            NUMBER,
            doc="0 at `from`, 1 at `to`, linear between and level beyond, both in the unit of `x`; `to` may be the smaller one",
        ),
        Function(
            "abs",
            (_X,),
            NUMBER,
            True,
            doc="without its sign",
        ),
        Function(
            "min",
            (_X, Param("y", NUMBER, same_unit=True)),
            NUMBER,
            True,
            is_variadic=True,
            doc="the least of two or more numbers",
        ),
        Function(
            "max",
            (_X, Param("y", NUMBER, same_unit=True)),
            NUMBER,
            True,
            is_variadic=True,
            doc="the greatest of two or more numbers",
        ),
        Function(
            "mod",
            (Param("a", NUMBER, same_unit=True), Param("b", NUMBER, same_unit=True)),
            NUMBER,
            True,
            doc="the remainder of `a / b`, with the sign of `b`",
        ),
        Function(
            "bernoulli",
            (Param("p", NUMBER),),
            NUMBER,
            doc="1 with chance `p`, else 0; drawn once for each rollout",
        ),
    )
}
"""Functions whose meaning is `exgrpo_artifact.operations`."""

FILTERS: Final[Mapping[str, Function]] = {name: item for name, item in FUNCTIONS.items() if item.is_filter}
"""Template filters and field pipes."""

AGGREGATES: Final = ("mean", "max", "min", "count", "any", "all")
"""Lift exactly one level; `min` and `max` of two or more values are plain functions."""

OUTCOMES: Final = ("matches", "format")
FILTER_CALLS: Final = ("agrees", "solved")
PROBE_FILTERS: Final = ("majority", "both", "duplicate")
"""Calls of `keep probe` alone."""
JUDGES: Final = ("score", "same")


class Form(Record):
    """A call with rules of its own, for the reference: how it is written, where, and what it gives."""

    written: str
    where: str
    result: str
    doc: str


FORMS: Final = (
    Form("mean(x)", "rewards, filters", "number", "the average"),
    Form("max(x)", "rewards, filters", "number", "the greatest"),
    Form("min(x)", "rewards, filters", "number", "the least"),
    Form("count(x)", "rewards, filters", "int", "how many; of no value it is 0"),
    Form("any(condition)", "rewards, filters", "bool", "whether one holds"),
    Form("all(condition)", "rewards, filters", "bool", "whether each holds"),
    Form("matches(turn, gold)", "rewards, filters", "0 or 1", "whether the turn states the gold answer"),
    Form(
        "format(turn, answer = that of the turn)",
        "rewards, filters",
        "0 or 1",
        "whether an answer can be read",
    ),
    Form(
        "agrees(model, texts, gold)",
        "filters",
        "bool",
        "whether the model reaches the gold answer from the texts",
    ),
    Form("solved(model, probes)", "filters", "int", "how many of the probes the model solves"),
    Form(
        "majority(model, n, texts: the probe's open texts, answer: probe.answer)",
        "`keep probe`",
        "bool",
        "whether more than half of n answers of the model are the probe's",
    ),
    Form(
        "both(a, b, texts: the probe's open texts, answer: probe.answer)",
        "`keep probe`",
        "bool",
        "whether each of two models gives the probe's answer",
    ),
    Form(
        "duplicate(threshold: 0.8)",
        "`keep probe`",
        "bool",
        "whether an earlier probe of the row that is left says nearly the same",
    ),
    Form(
        "similarity(a, b, by: model)",
        "rewards, filters",
        "number",
        "how close two texts are in meaning, from -1 to 1",
    ),
    Form(
        "judge.score(text, rubric: rubric, by: model)",
        "rewards, filters",
        "number",
        "what the judge gives, on the rubric's scale",
    ),
    Form(
        "judge.same(a, b, by: model)",
        "rewards, filters",
        "bool",
        "whether the judge finds that both say the same",
    ),
    Form(
        "sample(probes, n)",
        "`for probe in …`",
        "probes",
        "at most n of the probes, drawn at random for each row",
    ),
    Form("uniform(a, b)", "scenarios", "int", "a whole number from a to b, each as likely"),
    Form("all", "scenarios", "a scenario", "all sampled probes come before the question"),
    Form("first(n)", "scenarios", "a scenario", "the first n of them; 0 for the question alone"),
    Form(
        "branch(scenario, after: n)",
        "scenarios",
        "a scenario",
        "a rollout of that scenario is left after n probes",
    ),
)
"""What `FUNCTIONS` does not hold: aggregates, outcomes, judges, and what dialogues are made of."""

PLANNED: Final = frozenset({"logp"})
"""Builtins that are reserved for a later edition; naming one says so."""

ANSWER_KINDS: Final = (
    "number.last",
    "number.boxed",
    "math.boxed",
    "choice.letter",
    "yesno.last",
    "date.last",
    "text.exact",
    "text.normalized",
)

DEFAULT_EMBEDDER: Final = "sentence-transformers/all-MiniLM-L6-v2"
"""Whose embeddings `similarity` compares where no model is named."""

_EXAMPLE_TYPE: Final = Type("record", fields=(("question", TEXT), ("probe", TEXT)), title="an example")
RULE_TYPE: Final = Type(
    "record",
    fields=(("name", TEXT), ("instruction", TEXT), ("doc", TEXT), ("examples", list_of(_EXAMPLE_TYPE))),
    title="the rule",
)
"""What `rule` is in the prompt of a probes block, and an element of `rules` where all are asked together."""

ASKABLE: Final = ("openai", "hf", "plugin", "replay")
"""Kinds of models that requests can be sent to: teachers and judges."""
TRAINABLE: Final = ("hf", "scratch")
"""Kinds of models that can be students."""

LOOP_TYPE: Final = Type(
    "record",
    fields=(("index", INT), ("index0", INT), ("first", BOOL), ("last", BOOL), ("length", INT)),
    title="the loop",
)
"""`loop` inside a template's `for`."""

ROLLOUT_FIELDS: Final = ("scenario", "tokens", "turns")
RESERVED_TURNS: Final = frozenset(ROLLOUT_FIELDS)

# --- settings -----------------------------------------------------------------------------------------------


class _Required:
    """Marks a setting without a default."""


REQUIRED: Final = _Required()

Due = Literal["int", "number", "text", "texts", "choice", "env", "urls", "counts", "shares", "names", "ref"]


class Setting(Record):
    """A named value of a model or a stage: what may stand there and what holds where nothing does.

    `low` and `high` are inclusive; `above` is an exclusive lower bound. `choices` maps what is written to what it means.
    """

    name: str
    due: Due
    default: Any = REQUIRED
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: Mapping[str, str] | None = None

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED


MOST: Final = 10_000_000
"""The largest count of tokens or steps: what is larger is a slip of the pen."""


def _by_name(*settings: Setting) -> dict[str, Setting]:
    return {setting.name: setting for setting in settings}


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


DTYPES: Final = {
    "auto": "auto",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
    "float32": "float32",
}

_SAMPLING = (
    Setting("temperature", "number", None, low=0, high=2),
    Setting("top_p", "number", None, above=0, high=1),
    Setting("max_tokens", "int", None, unit="tok", low=1, high=MOST),
)
_REQUESTS = (
    Setting("budget", "number", None, unit="usd", above=0),
    Setting("timeout", "number", 60.0, unit="s", above=0, high=86_400),
    Setting("tries", "int", 4, low=1, high=100),
)
_DTYPE = Setting("dtype", "choice", "auto", choices=DTYPES)
_SHAPE = (
    Setting("layers", "int", low=1, high=1000),
    Setting("width", "int", low=1, high=100_000),
    Setting("heads", "int", low=1, high=1000),
    Setting("vocab", "int", low=260, high=MOST),
    Setting("context", "int", 4096, low=16, high=MOST),
)

# `none` and not `off`, which turns things off in `--set`.
_JSON = Setting("json", "choice", "auto", choices={**_same("auto", "schema", "object"), "none": "off"})

_LICENSE = Setting("license", "text", None)

PROBES: Final[Mapping[str, Setting]] = _by_name(
    Setting("ask", "choice", "per_rule", choices=_same("per_rule", "together")),
    Setting("samples", "int", 1, low=1, high=100),
    Setting("per_rule", "int", None, low=1, high=100),
)
"""Settings of a probes block that are plain values."""

DATASET: Final[Mapping[str, Setting]] = _by_name(_LICENSE)
"""Settings of a dataset that are plain values."""

MODEL_ARGUMENTS: Final[Mapping[str, Mapping[str, Setting]]] = {
    "openai": _by_name(
        Setting("id", "text"), Setting("base_url", "urls", None), Setting("api_key", "env", None)
    ),
    "hf": _by_name(Setting("id", "text"), Setting("revision", "text", None)),
    "scratch": {},
    "plugin": _by_name(Setting("id", "text")),
    "replay": _by_name(Setting("id", "text")),
}
"""Arguments in parentheses; the first is positional. A plugin takes any further keyword."""

MODEL_SETTINGS: Final[Mapping[str, Mapping[str, Setting]]] = {
    "openai": _by_name(*_SAMPLING, *_REQUESTS, _JSON, _LICENSE),
    "hf": _by_name(*_SAMPLING, _DTYPE, _LICENSE),
    "scratch": _by_name(*_SHAPE, _DTYPE),
    "plugin": _by_name(*_SAMPLING, *_REQUESTS, _LICENSE),
    "replay": _by_name(*_SAMPLING, _LICENSE),
}

MODEL_BLOCKS: Final[Mapping[str, Mapping[str, Mapping[str, Setting]]]] = {
    "lora": {
        "lora": _by_name(
            Setting("rank", "int", 16, low=1, high=100_000),
            Setting("alpha", "number", 32.0, above=0),
            Setting("dropout", "number", 0.0, low=0, high=1),
            Setting("target", "texts", None),
        )
    },
    "requests": {
        "price": _by_name(
            Setting("input", "number", unit="usd", low=0), Setting("output", "number", unit="usd", low=0)
        ),
        "limits": _by_name(
            Setting("requests", "number", None, above=0),
            Setting("tokens", "number", None, unit="tok", above=0),
            Setting("concurrency", "int", 8, low=1, high=10_000),
        ),
    },
}

BLOCKS_OF_MODEL: Final[Mapping[str, Mapping[str, Mapping[str, Setting]]]] = {
    "openai": MODEL_BLOCKS["requests"],
    "hf": MODEL_BLOCKS["lora"],
    "scratch": {},
    "plugin": MODEL_BLOCKS["requests"],
    "replay": {},
}
"""Blocks of settings inside a model's block."""

OPTIMIZERS: Final = ("adamw", "muon")
DEFAULT_LR: Final[Mapping[tuple[str, str], float]] = {
    ("sft", "adamw"): 2e-4,
    ("sft", "muon"): 2e-2,
    ("grpo", "adamw"): 1e-5,
    ("grpo", "muon"): 2e-3,
}
"""Learning rate by stage and optimizer."""

_TRAINING = (
    Setting("optimizer", "choice", "adamw", choices=_same(*OPTIMIZERS)),
    Setting("lr", "number", None, above=0, high=1),
    Setting("embed_lr", "number", 3e-3, above=0, high=1),
    Setting("weight_decay", "number", 0.0, low=0),
    Setting("warmup_steps", "int", 0, low=0, high=MOST),
    Setting("schedule", "choice", "constant", choices=_same("constant", "linear", "cosine")),
    Setting("max_grad_norm", "number", 1.0, above=0),
)
_SPLIT = Setting("split", "ref", "train")

STAGES: Final[Mapping[str, Mapping[str, Setting]]] = {
    "probe": _by_name(_SPLIT),
    "sft": _by_name(
        Setting("dialogue", "ref", None),
        Setting("mix", "shares", None),
        _SPLIT,
        Setting("epochs", "number", 1.0, above=0, high=10_000),
        Setting("batch", "int", 16, low=1, high=100_000),
        Setting("turns", "names", None),
        *_TRAINING,
    ),
    "grpo": _by_name(
        Setting("dialogue", "ref"),
        Setting("reward", "ref"),
        Setting("group", "counts"),
        Setting("compare", "counts", None),
        _SPLIT,
        Setting("items", "int", 16, low=1, high=100_000),
        Setting("steps", "int", low=1, high=MOST),
        Setting("kl", "number", 0.02, low=0),
        Setting("clip", "number", 0.2, above=0, high=1),
        Setting("clip_high", "number", None, above=0),
        Setting("aux", "number", 0.2, low=0),
        Setting("aux_batch", "int", 16, low=1, high=100_000),
        Setting("scale", "choice", "group", choices=_same("group", "batch", "none")),
        Setting("baseline", "choice", "group", choices=_same("group", "scenario")),
        Setting("loss", "choice", "dapo", choices=_same("grpo", "dapo", "bnpo", "dr_grpo")),
        Setting("temperature", "number", 1.0, above=0, high=2),
        Setting("top_p", "number", 1.0, above=0, high=1),
        Setting("max_new", "int", 256, unit="tok", low=1, high=MOST),
        Setting("kl_gradient", "choice", "unbiased", choices=_same("unbiased", "k3")),
        Setting("truncated", "choice", "train", choices=_same("train", "mask")),
        Setting("silent", "choice", "keep", choices=_same("keep", "skip")),
        Setting("resample", "int", 0, low=0, high=100),
        *_TRAINING,
    ),
    "evaluate": _by_name(
        Setting("scenario", "ref"),
        Setting("on", "ref"),
        Setting("score", "ref"),
        Setting("max_new", "int", None, unit="tok", low=1, high=MOST),
    ),
}
"""Arguments of stages; the first is positional. `evaluate` takes `max_new` from the task's last grpo stage, else 256."""

DEFAULT_SEED: Final = 0

SOURCE_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "hf": ("config", "revision", "streaming"),
    "jsonl": (),
    "csv": (),
    "parquet": (),
    "arrow": (),
    "plugin": (),
}
FILE_SOURCES: Final = ("jsonl", "csv", "parquet", "arrow")
"""Kinds of data sources and their keyword options. Files take their parts by name, a plugin takes any keyword."""
