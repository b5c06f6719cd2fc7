"""What `check` could not look at on this machine, as sentences: nothing is wrong with the spec, and nothing is kept silent either."""

from __future__ import annotations

from exgrpo_compiler.ir import CheckedDialogue
from exgrpo_compiler.pipeline import CheckedSpec


def list_notes(checked: CheckedSpec | None) -> tuple[str, ...]:
    """The notes for a checked spec."""
    if checked is None:
        return ()
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
