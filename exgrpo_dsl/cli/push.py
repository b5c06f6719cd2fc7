"""`exgrpo push`: a probe stage's dataset to the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path

import click

TOKEN = "HF_TOKEN"
"""Variable of the environment; a token that lies elsewhere on the machine is not used."""


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--stage", "name", required=True, metavar="NAME", help="The probe stage whose dataset it is.")
@click.option(
    "--to",
    "repository",
    required=True,
    metavar="ORG/NAME",
    help="Dataset repository; made where there is none.",
)
@click.option("--private", is_flag=True, help="Make the repository private, where it is made.")
def push(run_dir: Path, name: str, repository: str, private: bool) -> int:
    """Upload the dataset of a finished probe stage to the Hugging Face hub.

    The token is read from HF_TOKEN. Nothing is ever pushed but by this command.
    """
    from exgrpo_runtime.probing.pushing import push_folder

    folder = _find_folder(run_dir, name)
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise click.UsageError(f"--to {repository}: write ORG/NAME.")
    token = os.environ.get(TOKEN)
    if not token:
        raise click.UsageError(
            f"{TOKEN} is not set. Make a token with the right to write (huggingface.co/settings/tokens) and set it "
            "in the environment; nothing was sent."
        )
    url = push_folder(folder, repository, token, private=private)
    click.echo(f"pushed {folder} to {repository}: {url}")
    return 0


def _find_folder(run_dir: Path, name: str) -> Path:
    from exgrpo_runtime.probing.dataset_folder import FOLDER

    if not (run_dir / "run.json").is_file():
        raise click.UsageError(f"{run_dir} is not a run directory: it has no run.json.")
    found = {
        path.name.split("-", 1)[1]: path / FOLDER
        for path in sorted((run_dir / "stages").glob("[0-9]*-*"))
        if (path / FOLDER / "README.md").is_file()
    }
    if name not in found:
        names = ", ".join(f"`{one}`" for one in found) or "none"
        raise click.UsageError(
            f"{run_dir} has no finished probe stage `{name}`. Stages with a dataset: {names}."
        )
    return found[name]
