"""A preview as text, secrets in colour or between brackets, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exgrpo_dsl.preview.build import Message, Preview, Section
from exgrpo_dsl.preview.marks import Part

_SECRET, _DIM, _BOLD, _RESET = "\x1b[30;43m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_TITLES = {
    "teacher": "Teacher prompts",
    "dialogue": "Dialogues",
    "evaluate": "Evaluation",
    "judge": "Judge prompts",
}


def render_text(preview: Preview, *, color: bool) -> str:
    """For a person. Control characters of the data are shown as `?`: a row cannot write to the terminal."""
    lines = [_paint(f"task {preview.task}, row {preview.row}", _BOLD, color)]
    lines += [f"  {name}: {_join(parts, color)}" for name, parts in preview.fields]
    kind = ""
    for section in preview.sections:
        if section.kind != kind:
            kind = section.kind
            lines += ["", _paint(_TITLES[kind], _BOLD, color)]
        lines += ["", *_render_section(section, color)]
    if any(part.secret for _, parts in preview.fields for part in parts):
        shown = _paint("coloured so", _SECRET, color) if color else "⟦secret field: value⟧"
        lines += [
            "",
            f"secret: {shown}. An assistant's text is the teacher's wording: it is learnt from, never shown in a rollout.",
        ]
    return "\n".join(lines)


def _render_section(section: Section, color: bool) -> list[str]:
    lines = [_paint(f"── {section.title}", _BOLD, color)]
    lines += [_paint(f"   {note}", _DIM, color) for note in section.notes]
    for message in section.messages:
        lines.append(_paint(f"   {_name(message)}", _DIM, color))
        text = _join(message.parts, color) or "(the student writes this)"
        lines += [f"   │ {line}".rstrip() for line in text.split("\n")]
    return lines


def _name(message: Message) -> str:
    return f"{message.role} {message.turn}" if message.turn else message.role


def _join(parts: Sequence[Part], color: bool) -> str:
    return "".join(_show(part, color) for part in parts)


def _show(part: Part, color: bool) -> str:
    text = "".join(
        char if char == "\n" or char.isprintable() else " " if char == "\t" else "?" for char in part.text
    )
    if part.secret is None:
        return text
    if color:
        return "\n".join(f"{_SECRET}{line}{_RESET}" for line in text.split("\n"))
    return f"⟦secret {part.secret}: {text}⟧"


def _paint(text: str, style: str, color: bool) -> str:
    return f"{style}{text}{_RESET}" if color else text


def build_json(preview: Preview) -> dict[str, Any]:
    """For a tool; `exgrpo schema preview` is its JSON Schema."""
    return {
        "task": preview.task,
        "row": preview.row,
        "fields": {name: _build_parts(parts) for name, parts in preview.fields},
        "sections": [
            {
                "kind": section.kind,
                "title": section.title,
                "notes": list(section.notes),
                "messages": [
                    {"role": message.role, "turn": message.turn, "parts": _build_parts(message.parts)}
                    for message in section.messages
                ],
            }
            for section in preview.sections
        ],
    }


def _build_parts(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [{"text": part.text, "secret": part.secret} for part in parts]
