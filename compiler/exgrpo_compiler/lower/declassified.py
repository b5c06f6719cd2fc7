"""Every use of `declassify` in a task, for the manifest: where it stands, what it lets pass, and why."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_artifact.manifest import Declassified
from exgrpo_compiler.check.secrets import find_clearances, list_messages
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedProbes, Template
from exgrpo_compiler.lower.names import Scene
from exgrpo_compiler.source import Span


def lower_declassified(scene: Scene) -> tuple[Declassified, ...]:
    """The uses by the order of declarations."""
    return tuple(item for key, name in scene.names.items() for item in _list_uses(scene.get(key), name))


def _list_uses(checked: object, name: str) -> Iterator[Declassified]:
    if isinstance(checked, CheckedDataset):
        for field in checked.fields:
            for tree in find_clearances(field.value):
                value, reason = tree.args
                yield Declassified(
                    where=f"field `{field.name}` of dataset `{name}`",
                    what=_read_text(value.span),
                    reason=str(reason.params["value"]),
                )
    elif isinstance(checked, CheckedProbes):
        yield from _list_template(checked.prompt, f"the prompt of `{name}`")
    elif isinstance(checked, CheckedDialogue):
        for message in list_messages(checked):
            yield from _list_template(message.template, f"{message.title} of dialogue `{name}`")
        for exchange in checked.exchanges:
            if exchange.target is not None:
                yield from _list_template(exchange.target, f"the turn `{exchange.name}` of dialogue `{name}`")


def _list_template(template: Template, where: str) -> Iterator[Declassified]:
    for item in template.clearances:
        yield Declassified(where=where, what=item.what, reason=item.reason)


def _read_text(span: Span) -> str:
    return span.source.text[span.start : span.end]
