"""Settings that the training libraries read when they are first imported: no telemetry, chatter or spinning.

Invariant: `silence_libraries()` runs before torch, transformers, trl or datasets is imported anywhere in this
package.
"""

from __future__ import annotations

import os

_SETTINGS = {
    # Every trainer of TRL otherwise reports to a server when it is built.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    # Threads that wait must not spin: beside any other busy process that costs more than half of the speed.
    "OMP_WAIT_POLICY": "PASSIVE",
    # The tokenizers fork-guard warning; texts are encoded a few at a time, where threads do not pay.
    "TOKENIZERS_PARALLELISM": "false",
}


def silence_libraries() -> None:
    """Sets what the user has not set himself. Cheap, and safe to call often."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def hide_library_bars() -> None:
    """Turns off transformers' own progress bars and log lines; imports transformers."""
    silence_libraries()
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
