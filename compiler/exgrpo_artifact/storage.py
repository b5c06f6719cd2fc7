"""Reading an artifact directory, with every hash verified before anything is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exgrpo_artifact.canonical import hash_text, hash_value, to_plain
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.graph import RewardFile, RewardGraph
from exgrpo_artifact.manifest import FORMAT, Manifest
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.validation import MalformedError, validate_json

MANIFEST = "manifest.json"
REWARD = "reward.json"


class Artifact(NamedTuple):
    """A compiled task: all that the runtime ever sees of a spec."""

    manifest: Manifest
    prompts: Mapping[str, str]
    """Template path inside the artifact (`prompts/….jinja`) -> text."""
    rewards: Mapping[str, RewardGraph]


def compute_content_hash(manifest: Manifest) -> str:
    """The hash that `manifest.content_hash` must hold."""
    return _hash_content(to_plain(manifest))


def _hash_content(plain: Mapping[str, Any]) -> str:
    """Of the JSON as it is written, so that fields which later formats add change nothing in an older artifact."""
    return hash_value({**plain, "content_hash": ""})


def read_artifact(directory: Path) -> Artifact:
    """The artifact in `directory`, verified.

    Raises:
        ArtifactError: no manifest, newer format, malformed, or a file that does not match its hash.
    """
    path = directory / MANIFEST
    try:
        raw = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{directory} is not an artifact: it has no {MANIFEST}. Make one with `exgrpo compile SPEC`."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    manifest = _parse_manifest(raw, path)
    if _hash_content(json.loads(raw)) != manifest.content_hash:
        raise ArtifactError(
            f"{path} does not match its own content hash: it was edited or damaged. Compile the spec again."
        )
    texts = {name: _read_verified(directory, name, digest) for name, digest in sorted(manifest.files.items())}
    try:
        rewards = validate_json(RewardFile, texts[REWARD]).rewards
    except (KeyError, MalformedError) as error:
        raise ArtifactError(
            f"{directory / REWARD} is not a reward file of format {manifest.format}."
        ) from error
    prompts = {name: text for name, text in texts.items() if name != REWARD}
    return Artifact(manifest, prompts, rewards)


def _parse_manifest(raw: str, path: Path) -> Manifest:
    try:
        version = json.loads(raw).get("format")
    except (ValueError, AttributeError) as error:
        raise ArtifactError(f"{path} is not JSON: it is damaged. Compile the spec again.") from error
    if not isinstance(version, int) or version < 1:
        raise ArtifactError(f"{path} states no artifact format. Compile the spec again.")
    if version > FORMAT:
        raise ArtifactError(
            f"{path} has artifact format {version}; this exgrpo reads formats up to {FORMAT}. "
            "Upgrade exgrpo, or compile the spec with this version."
        )
    try:
        return validate_json(Manifest, raw)
    except MalformedError as error:
        raise ArtifactError(f"{path} is malformed {error}. Compile the spec again.") from error


def _read_verified(directory: Path, name: str, digest: str) -> str:
    path = directory / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ArtifactError(f"{directory / MANIFEST} names a file outside the artifact: {name}")
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} belongs to the artifact and cannot be read: {error}") from error
    if hash_text(text) != digest:
        raise ArtifactError(
            f"{path} does not match its hash in {MANIFEST}: it was edited or damaged. Compile the spec again."
        )
    return text
