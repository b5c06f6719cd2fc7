"""Where a training stage's figures go besides its own files: TensorBoard, trackio or wandb, through transformers; by default nowhere.

A tracker gets the lines of metrics.jsonl, not what TRL logs by itself: TRL's `reward` is what we hand it in place of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from exgrpo_artifact.errors import MissingDependencyError

if TYPE_CHECKING:
    from exgrpo_runtime.training import MetricsLog

TRACKERS = ("tensorboard", "trackio", "wandb")


class Tracking(NamedTuple):
    """Who is told."""

    trackers: tuple[str, ...] = ()
    """Of TRACKERS."""
    directory: Path = Path()
    """Where they write what stays on this machine."""


NO_TRACKING = Tracking()


def require_trackers(trackers: tuple[str, ...]) -> None:
    """Returns where all of them are installed.

    Raises:
        MissingDependencyError: one is not.
    """
    for name in trackers:
        if find_spec(name) is None:
            raise MissingDependencyError(
                f"--report-to {name}: {name} is not installed. Install it with: pip install {name}"
            )


def flatten_figures(line: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a metrics line, those inside by path.

    >>> flatten_figures({"loss": 1.5, "kl": None, "terms": {"outcome": {"mean": 0.25}}})
    {'loss': 1.5, 'terms/outcome/mean': 0.25}
    """
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found.update(flatten_figures(value, f"{prefix}{name}/"))
        elif isinstance(value, int | float) and name != "step":
            found[prefix + name] = float(value)
    return found


def settle_tracking(config: Any, tracking: Tracking, task: str, stage: str) -> Any:
    """The trainer's settings with the trackers in them; they go by the task's name and the stage's."""
    if tracking.trackers:
        config.report_to = list(tracking.trackers)
        config.project, config.run_name = task, f"{tracking.directory.parent.name}-{stage}"
    return config


@contextmanager
def place_tracking(tracking: Tracking, stage: str) -> Iterator[None]:
    """Keeps what trackers write in the run's directory, unless the user's environment names another place.

    To be entered before TRL is imported: it imports trackio, which reads its place once.
    """
    chosen = {
        "TENSORBOARD_LOGGING_DIR": tracking.directory / "tensorboard" / stage,
        "TRACKIO_DIR": tracking.directory / "trackio",
        "WANDB_DIR": tracking.directory,
    }
    added = {name: str(path) for name, path in chosen.items() if name not in os.environ}
    if not tracking.trackers:
        yield
        return
    tracking.directory.mkdir(parents=True, exist_ok=True)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def tell_trackers(trainer: Any, log: MetricsLog) -> None:
    """Puts the trackers of a trainer behind our own reporter, and hands them our lines.

    Args:
        trainer: of transformers, made and not started.
        log: where our reporter writes the line of the step.
    """
    from transformers import TrainerCallback
    from transformers.integrations import get_reporting_integration_callbacks

    kinds = tuple(get_reporting_integration_callbacks(trainer.args.report_to))
    if not kinds:
        return

    class LineReporter(TrainerCallback):
        """Exchanges the log of a step for our line of it."""

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
        ) -> None:
            """The summary at the end of training, which has no line, is dropped."""
            del args, control
            if logs is not None:
                is_step = "loss" in logs and log.lines and log.lines[-1]["step"] == state.global_step
                logs.clear()
                logs.update(flatten_figures(log.lines[-1]) if is_step else {})

    callbacks = trainer.callback_handler.callbacks
    trackers = [one for one in callbacks if isinstance(one, kinds)]
    others = [one for one in callbacks if not isinstance(one, kinds)]
    trainer.callback_handler.callbacks = [*others, LineReporter(), *trackers]
