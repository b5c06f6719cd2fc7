"""`exgrpo doctor`: what is installed, which device, what would run."""

from __future__ import annotations

import click


@click.command()
def doctor() -> int:
    """Say what is installed, which device training would use, and what can run here."""
    from importlib import metadata

    from exgrpo_runtime.environment import (
        BASE,
        COHERENCE,
        MATH,
        RAY,
        TRAIN,
        can_train,
        describe_device,
        find_gpus,
        find_version,
    )

    for title, names, extra in (
        ("base", BASE, ""),
        ("train", TRAIN, "pip install 'exgrpo[train]'"),
        ("math", MATH, "pip install 'exgrpo[math]'"),
        ("coherence", COHERENCE, "pip install 'exgrpo[coherence]'"),
        ("ray", RAY, "pip install 'exgrpo[ray]'"),
    ):
        versions = {name: find_version(name) for name in names}
        missing = [name for name, version in versions.items() if version is None]
        click.echo(
            f"{title:11}" + "  ".join(f"{name} {version or '-'}" for name, version in versions.items())
        )
        if missing and extra:
            click.echo(f"{'':11}missing: {', '.join(missing)}; {extra}")
    gpus = find_gpus()
    click.echo(f"{'gpus':11}{', '.join(gpus) if gpus else 'no NVIDIA driver'}")
    click.echo(f"{'device':11}{describe_device()}")
    for group, title in (("exgrpo.teachers", "teachers"), ("exgrpo.sources", "sources")):
        names_ = sorted(entry.name for entry in metadata.entry_points(group=group))
        click.echo(f"{title:11}{', '.join(names_) or 'none'}")
    click.echo(
        f"{'runs':11}check, compile, report"
        + (", run" if can_train() else "; not run: the extra `train` is missing")
    )
    return 0
