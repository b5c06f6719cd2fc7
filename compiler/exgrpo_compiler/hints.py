"""What helps with a diagnostic that has no hint of its own: one fact for each id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exgrpo_compiler.diagnostics import Diagnostic

GENERAL_HINTS: Final[Mapping[str, str]] = {
    "bad-character": "any character may stand in a string or a comment, but not here",
    "bad-number": "numbers are finite: at most about 1.8e308",
    "bad-regex": "a pattern is made of literals, classes, one group, alternatives and repeats",
    "const-cycle": "give one of them a value that does not need the others",
    "duplicate-key": "remove one of the two",
    "duplicate-name": "remove one of the two, or rename it",
    "invalid-value": "change it to a value that is allowed",
    "kind-mismatch": "a name stands for what its declaration is: a dataset, a model, a rule, …",
    "level-mismatch": "an aggregate (mean max min count any all) lifts one level: turn, rollout, group",
    "misplaced-function": "`agrees` and `solved` belong in filters; docs/language.md says where each function may stand",
    "missing-argument": "arguments go by position, then by name: f(x, name: y)",
    "reserved-name": "choose another name",
    "reward-cycle": "write one of these terms without the others",
    "rule-field-mismatch": "a rule takes the fields of the same name and type; rename or retype one of them",
    "syntax-error": "statements are `name = value`, entries of a record `name: value`; docs/language.md shows every form",
    "template-syntax": "templates are Jinja: `{{ x }}` prints, `{% if x %}…{% endif %}` decides, `{% raw %}` keeps braces",
    "type-mismatch": "types are text, number, int, bool, choice(…), list[T]; `x | number` reads a number from a text",
    "unclosed-brace": "every `{`, `(` and `[` needs its closing bracket",
    "unclosed-string": '`"…"` ends on its line; `"""…"""` may go over several',
    "unit-mismatch": "units are tok, usd, s, GiB and %; both sides of a sum or comparison have the same",
    "unknown-key": "docs/language.md lists what each declaration takes",
    "unopened-brace": "remove it, or open the bracket before it",
    "unsupported-builtin": "docs/language.md lists what this version has",
}
"""Id -> fact. A hint that is given where the problem is found says more and comes first."""


def find_hint(diagnostic: Diagnostic) -> str | None:
    """The diagnostic's own hint, else the general one for its id."""
    return diagnostic.hint or GENERAL_HINTS.get(diagnostic.id)
