"""What `check` says though nothing is wrong: what was found out on the way, and what could not be looked at."""

from __future__ import annotations

from exgrpo_compiler.ir import CheckedDialogue
from exgrpo_compiler.pipeline import CheckedSpec

UNMEASURED = "prompt-budget and template-drift were not checked: give --tokenizer PATH and --rows FILE"


def list_notes(checked: CheckedSpec | None) -> tuple[str, ...]:
    """The notes for a checked spec."""
    if checked is None:
        return ()
    unmeasured = (UNMEASURED,) if checked.program.tasks else ()
    return (*checked.notes, *_list_unchecked_math(checked), *unmeasured)


def _list_unchecked_math(checked: CheckedSpec) -> tuple[str, ...]:
    named = [
        f"`{key.name}.{exchange.name}`"
        for key, declaration in checked.program.known.items()
        if isinstance(declaration, CheckedDialogue)
        for exchange in declaration.exchanges
        if exchange.answer is not None and exchange.answer.kind == "math.boxed"
    ]
    if not named:
        return ()
    from exgrpo_artifact.boxed import has_math

    if has_math():
        return ()
    return (
        f"Mathematical equality is unchecked here ({', '.join(named)}): math-verify is not installed, and a run needs it. "
        "Install it with: pip install 'exgrpo[math]'",
    )
