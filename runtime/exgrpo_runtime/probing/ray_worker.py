"""A worker of a Ray cluster: the asking of a probe stage over blocks of its rows, with the store of its node.

All workers of a node share one store, which is made for that: a request that one of them has sent is waited for by the others, and
what a worker that died had stored is there for the one that takes its place.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.errors import DataError, ExgrpoError
from exgrpo_artifact.manifest import ProbeStage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Context, SilentProgress
from exgrpo_runtime.data.disk_rows import RowWriter, open_rows
from exgrpo_runtime.probing.stage import run_probe_stage
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.store_files import merge_stores
from exgrpo_runtime.teachers.store_parts import TracedStore, write_part
from exgrpo_runtime.templates import TemplateSet


class Task(NamedTuple):
    """What every worker is told."""

    artifact: Artifact
    """With each model's limits divided among the workers, and without the filters that are the driver's."""
    stage: ProbeStage
    stores: Path
    """Directory of the nodes' stores, on each node."""
    seed: Any
    """Reference to the bytes of the run's store; None where it holds nothing."""


class BlockAsker:
    """Called by Ray Data with one block after the other, in one process; its teachers stay open between them."""

    def __init__(self, task: Task) -> None:
        import ray

        self._task = task
        self._templates = TemplateSet(task.artifact.prompts)
        task.stores.mkdir(parents=True, exist_ok=True)
        own = task.stores / f"{ray.get_runtime_context().get_node_id()}.sqlite"
        self._store = TracedStore(own)
        # Those of nodes that are gone, where this directory outlived them.
        merge_stores(own, [path for path in sorted(task.stores.glob("*.sqlite")) if path != own])
        if task.seed is not None:
            with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
                seed = Path(scratch) / "seed.sqlite"
                seed.write_bytes(ray.get(task.seed))
                merge_stores(own, [seed])

    def __call__(self, block: Any) -> Any:
        """A table of one line: the store of what the block's requests came to, how many were sent, what went wrong.

        Args:
            block: a table whose column `row` holds rows as JSON.
        """
        import pyarrow

        error = None
        with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
            try:
                run_probe_stage(self._task.stage, self._build_context(block, Path(scratch)))
            except DataError:
                pass  # no probe of this block survived; that is counted where all blocks come together
            except ExgrpoError as caught:
                error = str(caught)
            keys, num_asked = self._store.take_touched()
            part = Path(scratch) / "part.sqlite"
            write_part(self._store.path, part, keys)
            columns = {"part": [part.read_bytes()], "asked": [num_asked], "error": [error]}
        schema = {"part": pyarrow.large_binary(), "asked": pyarrow.int64(), "error": pyarrow.string()}
        return pyarrow.table(columns, schema=pyarrow.schema(list(schema.items())))

    def _build_context(self, block: Any, scratch: Path) -> Context:
        stage, manifest = self._task.stage, self._task.artifact.manifest
        dataset = manifest.probes[stage.probes].dataset
        with RowWriter(scratch) as rows:
            rows.begin(dataset, [stage.split])
            for line in block.column("row"):
                rows.write(Row.from_json(json.loads(line.as_py())))
        return Context(
            artifact=self._task.artifact,
            templates=self._templates,
            work=scratch,
            rows=open_rows(scratch),
            stage_dirs={},
            store=self._store,
            progress=SilentProgress(),
            student_dir=None,
        )
