"""`exgrpo report`: a run directory as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
def report(run_dir: Path) -> int:
    """Write RUN_DIR/report.html again from what the run left."""
    if not (run_dir / "run.json").is_file():
        raise click.UsageError(f"{run_dir} is not a run directory: it has no run.json.")
    from exgrpo_runtime.report import write_report
    from exgrpo_runtime.run_dir import disk_boundary

    with disk_boundary(run_dir):
        click.echo(str(write_report(run_dir)))
    return 0
