"""What a user may choose of a run beyond the task: the options of `exgrpo run`, as programs give them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from exgrpo_runtime.data.shards import Shard

Engine = Literal["local", "ray"]


class RunOptions(NamedTuple):
    """All have defaults: a whole run, here and now."""

    resume: bool = False
    """Whether the run directory may hold an earlier run, whose finished stages are kept where their inputs are the same."""
    limit: int | None = None
    """At most so many source rows of every split."""
    until: str | None = None
    """Name of the last stage to run; None: all."""
    shard: Shard | None = None
    """Which rows the probe stages ask about; None: all. Only where `find_misuse` of the shards finds nothing."""
    store: Path | None = None
    """Where replies are kept; None: in the run directory."""
    allow_partial: bool = False
    """Whether a run some of whose requests failed for good is as good as any: it ends with 0, and a probe stage that finished so
    is kept by `resume`, which otherwise asks for what failed again."""
    engine: Engine = "local"
    """Who sends the requests of probe stages: this process, or the workers of a Ray cluster."""
    report_to: tuple[str, ...] = ()
    """Trackers that training stages report to, of exgrpo_runtime.tracking; none is told anything otherwise."""
    spec: str | None = None
    """What the user named on the command line, for the record."""
