"""Which libraries a project has, from what it and they require.

One library per name. The project's own word wins; two libraries that disagree are an error. The walk goes breadth first and by
name, so the result, and which mistake is told first, depend on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.content import Files
from exgrpo_dsl.libraries.manifest import Manifest, parse_manifest
from exgrpo_dsl.libraries.origin import Origin, move_origin


class Fetched(NamedTuple):
    """What is at an origin now, or was when it was locked."""

    revision: str | None
    """None: the library's own version says which it is."""
    files: Files


class Resolved(NamedTuple):
    """A library of the project."""

    origin: Origin
    fetched: Fetched
    manifest: Manifest


Fetch = Callable[[str, Origin], Fetched]


def resolve_libraries(root: Manifest, fetch: Fetch) -> dict[str, Resolved]:
    """Every library that is required, by name.

    Raises:
        ProjectError: two requirers disagree, libraries require each other in a circle, or one is not what it is taken for.
    """
    wanted = {name: (origin, root.name) for name, origin in root.requires.items()}
    resolved: dict[str, Resolved] = {}
    waiting = sorted(wanted)
    while waiting:
        for name in waiting:
            resolved[name] = _resolve_one(name, wanted[name][0], fetch)
        found: set[str] = set()
        for name in waiting:
            for needed, origin in _list_requires(name, resolved[name], root).items():
                first = wanted.setdefault(needed, (origin, name))
                if first[0] != origin:
                    raise ProjectError(_describe_conflict(needed, first, (origin, name)))
                if needed not in resolved:
                    found.add(needed)
        waiting = sorted(found)
    _verify_acyclic(root.name, {name: tuple(one.manifest.requires) for name, one in resolved.items()})
    return resolved


def _resolve_one(name: str, origin: Origin, fetch: Fetch) -> Resolved:
    fetched = fetch(name, origin)
    if MANIFEST not in fetched.files:
        raise ProjectError(
            f"library `{name}` ({origin.describe()}) has no {MANIFEST} at its root, so it is no library."
        )
    manifest = parse_manifest(
        fetched.files[MANIFEST], f"{MANIFEST} of library `{name}` ({origin.describe()})"
    )
    if manifest.name != name:
        raise ProjectError(
            f"`{name}` is required, but the library there ({origin.describe()}) calls itself `{manifest.name}`. "
            f"Require it as `{manifest.name}`."
        )
    return Resolved(origin, fetched, manifest)


def _list_requires(name: str, one: Resolved, root: Manifest) -> dict[str, Origin]:
    """What a library requires, as the project sees it; without what the project itself says."""
    found = {}
    for needed, origin in one.manifest.requires.items():
        if needed == root.name:
            raise ProjectError(
                f"Libraries require each other in a circle: {root.name} -> {name} -> {root.name}."
            )
        if needed in root.requires:
            continue
        if origin.kind == "path":
            if one.origin.kind != "path":
                raise ProjectError(
                    f"library `{name}` ({one.origin.describe()}) requires `{needed}` by a path, which is no place outside its own "
                    f"checkout. Say where `{needed}` is in exg.toml: `exgrpo add {needed} …`."
                )
            origin = move_origin(origin, one.origin.place)
        found[needed] = origin
    return found


def _describe_conflict(name: str, first: tuple[Origin, str], second: tuple[Origin, str]) -> str:
    return (
        f"`{name}` is required from two places: `{first[1]}` wants {first[0].describe()}, `{second[1]}` wants "
        f"{second[0].describe()}. A project has one library of a name: choose one in exg.toml by `exgrpo add {name} …`."
    )


def _verify_acyclic(root: str, requires: Mapping[str, tuple[str, ...]]) -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = (*trail[trail.index(name) :], name)
            raise ProjectError(f"Libraries require each other in a circle: {' -> '.join(circle)}.")
        if name in done:
            return
        for needed in sorted(requires[name]):
            if needed != root:
                visit(needed, (*trail, name))
        done.add(name)

    for name in sorted(requires):
        visit(name, ())
