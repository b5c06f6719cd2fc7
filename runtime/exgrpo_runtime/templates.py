"""Templates of an artifact, rendered in Jinja's sandbox.

Invariant: a rendered text never holds a silent gap. An undefined name, a missing value and a filter that
fails are errors, since a prompt with a hole in it costs money and teaches nonsense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.exceptions import TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.operations import FUNCTIONS
from exgrpo_artifact.values import NOT_APPLICABLE, Failed

MAX_CHARACTERS = 1_000_000
"""Longest text that a template may give; a runaway loop ends here."""

FILTERS = (
    "before",
    "after",
    "strip",
    "lower",
    "words",
    "sentences",
    "lines",
    "number",
    "first",
    "last",
    "json",
    "round",
    "shuffle",
)
"""Pipes of the language that are template filters too. Some hide filters of Jinja's own: they mean one thing."""


class TemplateSet:
    """The templates of one artifact, each compiled at its first use."""

    def __init__(
        self,
        prompts: Mapping[str, str],
        wrap: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function,
    ) -> None:
        """Compiles nothing yet; `wrap` is put around every filter of the language."""
        self._prompts = prompts
        self._environment = _Environment(
            undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, finalize=_check_value
        )
        for name in FILTERS:
            self._environment.filters[name] = wrap(_wrap_filter(name, FUNCTIONS[name]))
        # Jinja sees calls and pipes apart; the language has one `declassify`.
        self._environment.globals["declassify"] = wrap(FUNCTIONS["declassify"])
        self._environment.filters["declassify"] = wrap(FUNCTIONS["declassify"])
        self._compiled: dict[str, Template] = {}

    def render(self, path: str, **values: Any) -> str:
        """The text of the template at `path` (as in the artifact) for these values.

        Raises:
            ArtifactError: no such template, or it cannot be rendered for these values.
        """
        template = self._get(path)
        pieces: list[str] = []
        length = 0
        try:
            for piece in template.generate(**values):
                pieces.append(piece)
                length += len(piece)
                if length > MAX_CHARACTERS:
                    raise TemplateRuntimeError(f"its text is longer than {MAX_CHARACTERS} characters")
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ArtifactError(f"template {path} cannot be rendered: {error}") from error
        return "".join(pieces)

    def _get(self, path: str) -> Template:
        if path not in self._compiled:
            if path not in self._prompts:
                raise ArtifactError(f"the artifact has no template {path}. Compile the spec again.")
            try:
                self._compiled[path] = self._environment.from_string(self._prompts[path])
            except TemplateError as error:
                raise ArtifactError(
                    f"template {path} is malformed: {error}. Compile the spec again."
                ) from error
        return self._compiled[path]


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with records that have their fields as attributes and nothing else."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        # Plain Jinja finds `dict.values` before the field `values`.
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


def _check_value(value: Any) -> Any:
    if value is None or value is NOT_APPLICABLE:
        raise TemplateRuntimeError("a value that it prints is missing")
    if isinstance(value, Failed):
        raise TemplateRuntimeError(value.reason)
    return value


def _wrap_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, Failed):
            raise TemplateRuntimeError(f"filter `{name}`: {result.reason}")
        return result

    return apply
