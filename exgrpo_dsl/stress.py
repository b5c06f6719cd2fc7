"""`exgrpo stress`: the rewards of a spec attacked with junk, on its own rows where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Dataset, Manifest
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.storage import MANIFEST
from exgrpo_artifact.validation import validate_json
from exgrpo_compiler.check.program import check_program
from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.overrides import apply_overrides
from exgrpo_compiler.parse import parse_expression, parse_spec
from exgrpo_compiler.pipeline import check_spec, compile_spec
from exgrpo_compiler.prove.case import RewardCase, build_cases
from exgrpo_compiler.prove.stress import Stress, stress_reward
from exgrpo_compiler.prove.wordings import format_figure
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.source import Source
from exgrpo_dsl.errors import UsageError
from exgrpo_dsl.loading import UnreadableSpecError, open_loader, open_spec

MAX_TEXT = 60


class Stressed(NamedTuple):
    """What came of it; `rewards` is empty where the spec is wrong."""

    rewards: tuple[Stress, ...]
    diagnostics: tuple[Diagnostic, ...]


def stress_file(path: Path, *, rows: Path | None = None, overrides: Sequence[str] = ()) -> Stressed:
    """Every reward that a spec file declares or trains by, under attack.

    Args:
        path: the spec.
        rows: JSON Lines with rows of its dataset, as its source has them; else the items of its tests, and made-up rows.
        overrides: as for `compile_file`.

    Raises:
        UsageError: there is no such file, it cannot be read, or there is no reward in it.
        DataError: no row of the file converts.
    """
    try:
        source = open_spec(path)
        checked = check_spec(source, open_loader(source.name), overrides=overrides)
    except UnreadableSpecError as error:
        return Stressed((), (error.diagnostic,))
    if checked.value is None or has_errors(checked.diagnostics):
        return Stressed((), checked.diagnostics)
    program, cases = _find_cases(source, overrides)
    if not cases:
        raise UsageError(f"{path} has no reward.")
    given = _read_rows(source, overrides, program, cases, rows) if rows is not None else {}
    return Stressed(
        tuple(stress_reward(case, given.get(case.key.name, _find_items(program, case))) for case in cases),
        checked.diagnostics,
    )


def _find_cases(source: Source, overrides: Sequence[str]) -> tuple[CheckedProgram, tuple[RewardCase, ...]]:
    resolved = resolve_program(source, open_loader(source.name), parse_spec).value
    assert resolved is not None
    changed = apply_overrides(resolved, overrides, parse_expression).value
    assert changed is not None
    checked = check_program(changed.program, changed.terms_off, resolved).value
    assert checked is not None
    return checked, build_cases(changed.program, checked).rewards


def _find_items(program: CheckedProgram, case: RewardCase) -> list[Mapping[str, Any]]:
    """Rows of the spec's own tests of this reward."""
    return [test.item for test in program.tests if case.key in test.rewards]


def _read_rows(
    source: Source,
    overrides: Sequence[str],
    program: CheckedProgram,
    cases: Sequence[RewardCase],
    path: Path,
) -> dict[str, list[Mapping[str, Any]]]:
    """Converted rows for each reward."""
    from exgrpo_dsl.preview.rows import read_raw_rows

    raw = read_raw_rows(path)
    artifacts = compile_spec(source, open_loader(source.name), overrides=overrides).value or {}
    manifests = [validate_json(Manifest, files[MANIFEST]) for files in artifacts.values()]
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for case in cases:
        name = program.scope_names.get(case.reward.dataset, case.reward.dataset.name)
        dataset = next((one.datasets[name] for one in manifests if name in one.datasets), None)
        rows[case.key.name] = [*raw] if dataset is None else _convert(dataset, raw, path)
    return rows


def _convert(dataset: Dataset, raw: Sequence[dict[str, Any]], path: Path) -> list[Mapping[str, Any]]:
    from exgrpo_runtime.data.rows import convert_row
    from exgrpo_runtime.records import Row

    split = next(iter(dataset.splits))
    converted = [convert_row(dataset, split, at, row) for at, row in enumerate(raw)]
    kept: list[Mapping[str, Any]] = [row.fields for row in converted if isinstance(row, Row)]
    if not kept:
        raise DataError(f"no row of {path} has the fields of dataset `{dataset.name}`.")
    return kept


# --- words ------------------------------------------------------------------------------------------------


def render_stress(stress: Stress, top: int) -> list[tuple[str, bool]]:
    """Lines of a table for a person, and whether each is about a hack."""
    first = stress.paid[0] if stress.paid else None
    if first is None:
        return [(f"{stress.reward}: no completion has a total", False)]
    lines = [
        (
            f"{stress.reward}: {stress.num_attacks} junk completions on {stress.num_rows} rows; an honest right answer earns "
            f"{format_figure(first.right)}, a wrong one {format_figure(first.wrong)}",
            False,
        )
    ]
    shown = stress.paid[:top]
    width = max(len(one.family) for one in shown)
    for one in shown:
        mark = "!" if one.is_hack else " "
        lines.append(
            (
                f"  {mark} {format_figure(one.total):>6}  {one.family:<{width}}  {one.scenario}: {_quote(one.text)}",
                one.is_hack,
            )
        )
    verdict = (
        f"{stress.reward} pays junk at least what it pays an honest right answer (marked with !)"
        if stress.is_hackable
        else f"{stress.reward} pays no junk what it pays an honest right answer"
    )
    lines.append((verdict, stress.is_hackable))
    if stress.is_idle:
        lines.append(
            (f"{stress.reward} never pays an honest right answer more than an honest wrong one", True)
        )
    return lines


def _quote(text: str) -> str:
    shown = ascii(text[:MAX_TEXT])[1:-1] if not text.isprintable() else text[:MAX_TEXT]
    return f'"{shown}{"…" if len(text) > MAX_TEXT else ""}"'


def build_json(stressed: Sequence[Stress], top: int) -> list[dict[str, Any]]:
    """The same as plain JSON."""
    return [
        {
            "reward": stress.reward,
            "rows": stress.num_rows,
            "attacks": stress.num_attacks,
            "hackable": stress.is_hackable,
            "paid": [
                {name: getattr(one, name) for name in type(one).record_fields if name != "is_hack"}
                | {"hack": one.is_hack}
                for one in stress.paid[:top]
            ],
        }
        for stress in stressed
    ]
