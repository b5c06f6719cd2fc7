"""Template files: their paths in the artifact, and what the compiler adds to the teacher's prompt."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.ir import CheckedDialogue, CheckedProbes, CheckedRubric, CheckedYield
from exgrpo_compiler.value_types import Type

_SHAPES = {
    "text": "a string",
    "number": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "any": "a string or a number",
}


def get_prompt_path(name: str) -> str:
    """Path of a probes block's or rubric's template."""
    return f"prompts/{name}.jinja"


def get_system_path(dialogue: str) -> str:
    """Path of a dialogue's system message."""
    return f"prompts/{dialogue}.system.jinja"


def get_user_path(dialogue: str, turn: str) -> str:
    """Path of the user message before an assistant turn."""
    return f"prompts/{dialogue}.{turn}.user.jinja"


def get_target_path(dialogue: str, turn: str) -> str:
    """Path of an assistant turn's wording."""
    return f"prompts/{dialogue}.{turn}.jinja"


def lower_teacher_prompt(name: str, probes: CheckedProbes) -> dict[str, str]:
    """The teacher's prompt: the author's text and a last paragraph about the form of the reply."""
    form = describe_replies(probes.yields) if probes.ask == "together" else describe_reply(probes.yields)
    return {get_prompt_path(name): f"{probes.prompt.full_text.rstrip()}\n\n{form}\n"}


def lower_rubric_prompt(name: str, rubric: CheckedRubric) -> dict[str, str]:
    """A rubric's template."""
    return {get_prompt_path(name): rubric.text.full_text}


def lower_dialogue_prompts(name: str, dialogue: CheckedDialogue) -> dict[str, str]:
    """Templates of a dialogue's messages."""
    files: dict[str, str] = {}
    if dialogue.system is not None:
        files[get_system_path(name)] = dialogue.system.full_text
    for exchange in dialogue.exchanges:
        files[get_user_path(name, exchange.name)] = exchange.user.full_text
        if exchange.target is not None:
            files[get_target_path(name, exchange.name)] = exchange.target.full_text
    return files


def describe_reply(yields: Sequence[CheckedYield]) -> str:
    """What the reply must look like: one JSON object with just the yielded keys."""
    keys = "It has this key:" if len(yields) == 1 else f"It has these {len(yields)} keys and no others:"
    return f"{_ONE_OBJECT} {keys}\n{_describe_fields(yields)}"


def describe_replies(yields: Sequence[CheckedYield]) -> str:
    """The same where rules are asked together: an object with the yielded keys under each rule's name."""
    keys = "this key" if len(yields) == 1 else f"these {len(yields)} keys and no others"
    return (
        f"{_ONE_OBJECT} It has one key for each rule: {_RULE_NAMES}. "
        f"Under each stands an object with {keys}:\n{_describe_fields(yields)}"
    )


_ONE_OBJECT = "Reply with exactly one JSON object and nothing before or after it."
_RULE_NAMES = '{% for rule in rules %}"{{ rule.name }}"{% if not loop.last %}, {% endif %}{% endfor %}'


def _describe_fields(yields: Sequence[CheckedYield]) -> str:
    lines = []
    for field in yields:
        note = f" ({_join_lines(field.doc)})" if field.doc else ""
        lines.append(f'- "{field.name}": {_describe_shape(field.type)}{note}')
    return "\n".join(lines)


def _join_lines(doc: str) -> str:
    text = " ".join(doc.split()).rstrip(".")
    # A doc comment is no template: its braces must not become one.
    return text.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")


def _describe_shape(type_: Type) -> str:
    if type_.kind == "choice":
        return "one of " + ", ".join(f'"{option}"' for option in type_.options)
    if type_.kind == "list" and type_.element is not None:
        return f"a list, each item {_describe_shape(type_.element)}"
    if type_.kind == "record":
        inside = ", ".join(f'"{name}": {_describe_shape(field)}' for name, field in type_.fields)
        return f"an object with {inside}"
    return _SHAPES[type_.kind]
