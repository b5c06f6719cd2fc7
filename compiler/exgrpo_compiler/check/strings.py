"""Strings that are no templates: `{{` in one is a mistake, and so is a credential in any."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler.ast import Assign, AssistantStep, Decl, Text, UserStep
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.template_words import make_span

_TEMPLATE_KEYS = {"probes": "prompt", "dialogue": "system", "rubric": "text"}
_CREDENTIAL_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s@]*@|[?&](api_?key|key|token|access_token|secret|password)=[^&\s]",
    re.IGNORECASE,
)


def check_strings(decl: Decl, problems: Problems) -> None:
    """Reports `template-in-string` and `secret-in-spec` in a declaration."""
    for text, is_template in _find_texts(decl, _TEMPLATE_KEYS.get(decl.kind, "")):
        at = text.value.find("{{")
        if at >= 0 and not is_template:
            problems.error(
                "template-in-string",
                make_span(text, at, 2),
                "This string is no template, so `{{` would stand in it as it is.",
                hint="templates are `prompt`, `system`, `user`, `assistant` and a rubric's `text`",
            )
        credential = _CREDENTIAL_URL.search(text.value)
        if credential:
            problems.error(
                "secret-in-spec",
                make_span(text, credential.start(), credential.end() - credential.start()),
                "This URL holds a credential, which must not stand in a spec.",
                hint='name an environment variable: base_url: env("TEACHER_BASE_URL")',
            )


def _find_texts(node: object, template_key: str, is_template: bool = False) -> Iterator[tuple[Text, bool]]:
    """Every string below a node, and whether it is the whole value of a template's place."""
    if isinstance(node, Text):
        yield node, is_template
        return
    if isinstance(node, Source | Span) or not isinstance(node, Record):
        if isinstance(node, tuple):
            for item in node:
                yield from _find_texts(item, template_key)
        return
    for name in get_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, str | int | float | bool | Source | Span) or value is None:
            continue
        in_step = isinstance(node, UserStep | AssistantStep) and name == "value"
        in_key = isinstance(node, Assign) and name == "value" and node.path[0].text == template_key
        yield from _find_texts(value, template_key, is_template=in_step or in_key)
