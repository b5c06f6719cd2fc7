"""The probe stage: Explanatory Inversion (arXiv 2603.19266, section 3), as many probes for each row and rule as the spec asks for.

Rows and rules in, `probes.jsonl` and `rejections.jsonl` out, in the order rows x rules x samples whatever order replies arrive in.
Rows go through it block by block, so memory is bounded by a block. The result does not depend on how large one is, but for a student
asked by `solved`, whose rounding depends on what else is in its batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Model, Probes, ProbeStage
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.block import Block
from exgrpo_runtime.probing.filters import Conditions
from exgrpo_runtime.probing.funnel import Funnel
from exgrpo_runtime.probing.questions import build_questions
from exgrpo_runtime.probing.reading import Answer, read_answers
from exgrpo_runtime.probing.solving import Solve
from exgrpo_runtime.records import Probe, Rejection, Row
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.teacher import Reply, Teacher, open_teacher

Mode = Literal["w", "a"]
BLOCK_ROWS = 512
"""Rows at a time: with ten rules some thousand requests between two waits for the slowest, and probes of some megabytes."""


def run_probe_stage(
    stage: ProbeStage,
    context: Context,
    *,
    solve: Solve | None = None,
    open_model: Callable[[Model], Teacher] = open_teacher,
    given: Mapping[str, Reply] | None = None,
    block_rows: int = BLOCK_ROWS,
) -> dict[str, Any]:
    """Asks for the probes, filters them and writes what is left, a block of rows at a time.

    Args:
        stage: the stage.
        context: where it runs.
        solve: who answers for the student in `solved`; None: the student as the last training stage left it.
        open_model: how a model becomes a teacher.
        given: by key, failures of requests that others have sent for this run.
        block_rows: rows of a block, at least 1.

    Returns:
        Rows, how probes were asked for (ask, samples), requests (asked, from_store, failed_requests, tokens, budget), repairs, and the
        funnel by rule, reason, row.

    Raises:
        DataError: no row, or no probe survived; the text has the counts by reason.
        TeacherError: the teacher cannot be used at all.
    """
    declaration = context.manifest.probes[stage.probes]
    rows = context.rows[declaration.dataset][stage.split]
    asker = Asker(context.store, open_model, given=given or {})
    conditions = Conditions(context, declaration.name, asker, solve)
    run = _Run(stage, declaration, context, asker, Funnel(declaration.rules), conditions)
    for start in range(0, len(rows), block_rows):
        block = run.run_block(list(rows[start : start + block_rows]), start, len(rows))
        mode: Mode = "a" if start else "w"
        for name, records in (("probes", block.probes), ("rejections", block.rejections)):
            lines = (record for row in block.rows for record in records[row.uid])
            _write_lines(context.work / f"{name}.jsonl", mode, lines)
    if not run.funnel.num_kept:
        raise DataError(run.describe_failure(len(rows)))
    return {
        "rows": len(rows),
        "ask": declaration.ask,
        "samples": declaration.samples,
        **run.describe_requests(),
        **run.funnel.summarise(),
    }


@dataclass(slots=True)
class _Run:
    """One probe stage under way."""

    stage: ProbeStage
    declaration: Probes
    context: Context
    asker: Asker
    funnel: Funnel
    conditions: Conditions

    def run_block(self, rows: Sequence[Row], start: int, num_rows: int) -> Block:
        """One block of rows, asked about, filtered and counted; `start` is the place of its first row."""
        block = Block(self.stage.name, self.context.manifest, self.declaration, rows, self.funnel)
        where = f" rows {start + 1:,}-{start + len(rows):,} of {num_rows:,}" if len(rows) < num_rows else ""
        block.take_answers(self._ask(block, where))
        self.conditions.where = where
        block.apply_filters(self.conditions)
        return block

    def _ask(self, block: Block, where: str) -> list[Answer]:
        context = self.context
        questions = list(build_questions(context.artifact, context.templates, self.stage, block.rows))
        block.count_questions(questions)
        with context.progress.track(self.stage.name + where, len(questions)) as bar:

            def advance(_: Reply) -> None:
                failed = self.asker.tally.failed
                bar.advance(**({"failed": failed} if failed else {}))

            return read_answers(questions, self.declaration, self.asker, advance)

    def describe_requests(self) -> dict[str, Any]:
        """What asking has come to: counts, tokens and the teacher's budget, earlier runs included in the last."""
        figures = self.asker.tally.to_json()
        figures["failed_requests"] = figures.pop("failed")
        teacher = self.context.manifest.models[self.declaration.teacher]
        return {**figures, "budget": Budget(teacher, self.context.store.sum_usage(teacher.name)).to_json()}

    def describe_failure(self, num_rows: int) -> str:
        """Why nothing is left, with the counts and one example."""
        text = f"no probe survived stage `{self.stage.name}` of {num_rows} rows: {self.funnel.describe_losses()}."
        first = self.funnel.first
        if first is not None:
            text += f" The first: row {first.row}, rule `{first.rule}`, {first.reason}: {first.detail}."
        return text + " Replies are stored, so nothing is paid for twice."


def _write_lines(path: Path, mode: Mode, records: Iterable[Probe | Rejection]) -> None:
    with path.open(mode, encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(record.to_json(), ensure_ascii=False) + "\n" for record in records)
