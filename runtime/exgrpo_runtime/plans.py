"""From a declared dialogue to the exchanges of one row: which probes, how many, and in what words.

Draws are made with `random.Random` seeded from hashes, so that they are the same in every process and in a
run that was resumed. No torch here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.manifest import AnswerSpec, Cut, Dialogue, Exchange, ProbeLoop

if TYPE_CHECKING:
    from exgrpo_runtime.chat import ChatFormat
    from exgrpo_runtime.records import Probe, Row
    from exgrpo_runtime.templates import TemplateSet

IGNORED = -100
"""Label of a token that carries no loss."""


@dataclass(frozen=True, slots=True)
class PlannedTurn:
    """One exchange in the words of its row."""

    name: str
    user: str
    target: str | None
    """The teacher's wording; None where the dialogue has none."""
    answer: AnswerSpec | None
    """How its answer is read, where the dialogue says so."""
    in_loop: bool
    """Whether it stands inside `for probe in …`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A dialogue with one row: what the user will say, in order."""

    system: str | None
    turns: tuple[PlannedTurn, ...]
    scenario: str
    num_probes: int


@dataclass(frozen=True, slots=True)
class DialoguePrompt:
    """A plan as token ids, without any assistant turn."""

    opening: list[int]
    """Up to and including the first assistant header."""
    followups: list[list[int]]
    """Between the end-of-turn token of one assistant turn and the first token of the next."""


def make_rng(*parts: object) -> Random:
    """A generator that depends on the parts only; see `make_seed`."""
    return Random(make_seed(*parts))


def make_seed(*parts: object) -> int:
    """A number of 63 bits from the SHA-256 of the parts: texts, numbers, None. The same in every process."""
    digest = hashlib.sha256(json.dumps(parts).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


# --- draws ------------------------------------------------------------------------------------------------


def draw_probes(
    loop: ProbeLoop | None, probes: Sequence[Probe], *, for_rollout: bool, rng: Random
) -> list[Probe]:
    """At most `loop.count` probes without replacement; all, in stored order, where no count is given.

    Probes that state the answer on purpose are left out of rollouts: there the student would win by copying.
    """
    if loop is None:
        return []
    candidates = [probe for probe in probes if not (for_rollout and probe.reveals)]
    if loop.count is None:
        return candidates
    return rng.sample(candidates, min(loop.count, len(candidates)))


def cut_probes(cut: Cut, drawn: int, rng: Random) -> int | None:
    """How many of `drawn` probes the scenario keeps; None where it cannot be formed.

    A cut other than `all` and `first(0)` leaves out at least one probe and keeps at least one, so with
    fewer than two at hand there is none. `k` in the count is `drawn`.
    """
    if cut.kind == "all" or cut.count is None:
        return drawn
    if drawn < 2 and any(node.op in {"call", "k"} for node in cut.count.nodes):
        return None
    count = evaluate_graph(cut.count, k=drawn, rng=rng)
    if isinstance(count, bool) or not isinstance(count, int | float):
        return None
    if count <= 0:
        return 0
    return None if drawn < 2 else min(int(count), drawn - 1)


# --- wording ----------------------------------------------------------------------------------------------


def plan_dialogue(
    dialogue: Dialogue, row: Row, probes: Sequence[Probe], templates: TemplateSet, scenario: str
) -> Plan:
    """The dialogue with this row and just these probes (drawn and cut already), in this order."""
    turns: list[PlannedTurn] = []
    if dialogue.loop is not None:
        for probe in probes:
            names = {"item": row.fields, dialogue.loop.variable: probe.fields}
            turns += [_plan_turn(exchange, templates, names, True) for exchange in dialogue.loop.exchanges]
    turns += [_plan_turn(exchange, templates, {"item": row.fields}, False) for exchange in dialogue.closing]
    system = None if dialogue.system is None else templates.render(dialogue.system, item=row.fields)
    return Plan(system, tuple(turns), scenario, len(probes))


def _plan_turn(
    exchange: Exchange, templates: TemplateSet, names: dict[str, dict[str, object]], in_loop: bool
) -> PlannedTurn:
    target = None if exchange.target is None else templates.render(exchange.target, **names)
    return PlannedTurn(
        exchange.name, templates.render(exchange.user, **names), target, exchange.answer, in_loop
    )


def collect_turns(
    dialogue: Dialogue, plan: Plan, texts: Sequence[str]
) -> dict[str, str | tuple[str, ...] | None]:
    """Texts of the assistant turns by name, as a reward sees them: a tuple for a turn inside `for`.

    Args:
        dialogue: whose every turn gets a place.
        plan: the turns in order.
        texts: one for each turn of the plan.
    """
    looped: dict[str, list[str]] = {
        exchange.name: [] for exchange in (dialogue.loop.exchanges if dialogue.loop else ())
    }
    turns: dict[str, str | tuple[str, ...] | None] = {}
    for turn, text in zip(plan.turns, texts, strict=True):
        if turn.in_loop:
            looped[turn.name].append(text)
        else:
            turns[turn.name] = text
    return {**{name: tuple(parts) for name, parts in looped.items()}, **turns}


# --- tokens -----------------------------------------------------------------------------------------------


def encode_prompt(plan: Plan, chat: ChatFormat) -> DialoguePrompt:
    """The user's side of a plan."""
    first, *rest = plan.turns
    return DialoguePrompt(
        chat.encode_opening(plan.system, first.user), [chat.encode_followup(turn.user) for turn in rest]
    )


def encode_plan(
    plan: Plan, chat: ChatFormat, turns: Collection[str] | None = None
) -> tuple[list[int], list[int]]:
    """The whole dialogue in the teacher's words, with labels on assistant turns only.

    Args:
        plan: its turns must all have a target.
        chat: the student's format.
        turns: names of the turns that carry the loss; None: all of them.

    Returns:
        (input_ids, labels) of equal length. Labels are `IGNORED` but on the targets of `turns`, each of
        which includes its end-of-turn token.

    Raises:
        DataError: a turn has no target.
    """
    prompt = encode_prompt(plan, chat)
    input_ids: list[int] = []
    labels: list[int] = []
    for turn, asked in zip(plan.turns, [prompt.opening, *prompt.followups], strict=True):
        if turn.target is None:
            raise DataError(
                f"The assistant turn `{turn.name}` has no text to imitate. Give it one in the dialogue, "
                "or leave the dialogue out of supervised training."
            )
        answer = chat.encode_answer(turn.target)
        input_ids += asked + answer
        labels += [IGNORED] * len(asked)
        labels += answer if turns is None or turn.name in turns else [IGNORED] * len(answer)
    return input_ids, labels
