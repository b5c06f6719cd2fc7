"""What helps with a diagnostic that has no hint of its own: one fact for each id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exgrpo_compiler.diagnostics import Diagnostic

GENERAL_HINTS: Final[Mapping[str, str]] = {
    "ambiguous-path": "write the name of the declaration before it",
    "bad-character": "any character may stand in a string or a comment, but not here",
    "bad-escape": 'the escapes are \\n \\t \\" \\\\ and \\u{…}; a string in backticks has none',
    "bad-margin": 'indent every line at least as far as the closing `"""`',
    "bad-number": "numbers are finite: at most about 1.8e308",
    "bad-override": "overrides are NAME.path=VALUE; filters, stages and terms of a reward take `off`",
    "bad-regex": "a pattern is made of literals, classes, one group, alternatives and repeats",
    "const-cycle": "give one of them a value that does not need the others",
    "continued-line": "end the line before with `;`",
    "dangling-doc": "`///` belongs on the lines before a declaration or a statement; other comments are `//`",
    "dialogue-shape": "a dialogue is: system, then `for probe in …`, then pairs of user and assistant",
    "duplicate-key": "remove one of the two",
    "duplicate-name": "remove one of the two, or rename it",
    "import-cycle": "move what both files need into a third",
    "invalid-value": "change it to a value that is allowed",
    "kind-mismatch": "a name stands for what its declaration is: a dataset, a model, a rule, …",
    "level-mismatch": "an aggregate (mean max min count any all) lifts one level: turn, rollout, group",
    "misplaced-function": "`agrees` and `solved` belong in filters; docs/language.md says where each function may stand",
    "misplaced-statement": "docs/language.md lists what each declaration takes",
    "missing-argument": "arguments go by position, then by name: f(x, name: y)",
    "missing-edition": "the first line of a spec is `exg 1`",
    "missing-judgement": "name the term in the rollout and give what its judge answers: `clarity: 3`",
    "missing-key": "docs/language.md lists what each declaration needs",
    "missing-probes": "add a stage that makes the probes before the stages that use them",
    "missing-target": 'give the turn the words to learn from: assistant final = "…"',
    "missing-total": "add `total = …`: it is what is trained on",
    "mixed-braces": "a block holds `name = value`, a record `name: value`",
    "name-style": "names of declarations are written in lower case with `_`",
    "no-task": "a spec that is compiled has a `task`",
    "reserved-name": "choose another name",
    "reward-cycle": "write one of these terms without the others",
    "rule-field-mismatch": "a rule takes the fields of the same name and type; rename or retype one of them",
    "secret-in-spec": 'name the environment variable that holds it: env("API_KEY")',
    "silence-without-reason": "write `// allow: ID -- reason`",
    "silenced-error": "mend the error and remove the silence",
    "statement-word": "choose another name, or write the value that is missing here",
    "syntax-error": "statements are `name = value`, entries of a record `name: value`; docs/language.md shows every form",
    "template-construct": "templates have `{{ }}`, `{% if %}`, `{% for %}` and filters, and nothing else of Jinja",
    "template-in-string": "templates stand where a prompt or a message is due",
    "template-syntax": "templates are Jinja: `{{ x }}` prints, `{% if x %}…{% endif %}` decides, `{% raw %}` keeps braces",
    "test-without-expect": "compare a term: expect REWARD.TERM == [1, 0]",
    "too-deep": "give parts of it names of their own",
    "type-mismatch": "types are text, number, int, bool, choice(…), list[T]; `x | number` reads a number from a text",
    "unclosed-brace": "every `{`, `(` and `[` needs its closing bracket",
    "unclosed-string": '`"…"` ends on its line; `"""…"""` may go over several',
    "unit-mismatch": "units are tok, usd, s, GiB and %; both sides of a sum or comparison have the same",
    "unknown-argument": "arguments go by position, then by name: f(x, name: y)",
    "unknown-edition": "this version reads edition 1: `exg 1`",
    "unknown-field": "fields are declared by `field` in a dataset and by `yields` in probes",
    "unknown-filter": "docs/language.md lists the filters",
    "unknown-function": "docs/language.md lists the functions",
    "unknown-key": "docs/language.md lists what each declaration takes",
    "unknown-module": 'a module is a dotted name, as std.rules, or a path in quotes, as "./file.exg"',
    "unknown-name": 'declare it or import it with `use`; a value is written out: 20, "text", true, [a, b]',
    "unknown-option": "options are those of its choice(…)",
    "unknown-part": 'parts are named in the source: jsonl(train: "a.jsonl", test: "b.jsonl")',
    "unknown-path": "a path is the name of a declaration or a stage, a dot, and the name of a setting",
    "unknown-scenario": "scenarios are declared in the dialogue: `scenario full = all`",
    "unknown-silence": "`exgrpo explain` lists every diagnostic",
    "unknown-split": "splits are declared in the dataset: `split train = 80%`",
    "unknown-stage": "a stage is sft(…), grpo(…), evaluate(…), or the name of a probes block",
    "unknown-task": "a task is declared: `task NAME { … }`",
    "unknown-term": "terms are declared in the reward: `name = …`",
    "unknown-type": "types are text, number, int, bool, choice(…), list[T]",
    "unopened-brace": "remove it, or open the bracket before it",
    "unsampled-scenario": "add the scenario to `group` or `compare`",
    "unsupported-builtin": "docs/language.md lists what this version has",
    "value-count-mismatch": "give one value for each rollout, or one text for each probe",
    "unused-silence": "remove it",
}
"""Id -> fact. A hint that is given where the problem is found says more and comes first."""


def find_hint(diagnostic: Diagnostic) -> str | None:
    """The diagnostic's own hint, else the general one for its id."""
    return diagnostic.hint or GENERAL_HINTS.get(diagnostic.id)
