"""Artifact directories: what is whole is read, what is not is refused with one clear sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.canonical import dump_canonical, hash_text, hash_value
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.evaluate import Rollout, evaluate_reward
from exgrpo_artifact.graph import RewardFile
from exgrpo_artifact.manifest import FORMAT, GrpoStage, Hashes, Manifest, Provenance
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import compute_content_hash, read_artifact
from exgrpo_artifact.validation import validate_json
from tests.artifact.graphs import build_exgrpo

PROMPT = "Explain: {{ item.question }}\n"


def write_artifact(directory: Path, files: dict[str, str] | None = None, **changes: Any) -> Path:
    """A small whole artifact; `changes` replace keys of the manifest before its content hash is computed."""
    texts = {
        "reward.json": dump_canonical(RewardFile(rewards={"exgrpo": build_exgrpo()})),
        "prompts/a.jinja": PROMPT,
    }
    texts |= files or {}
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
    manifest = replace(
        Manifest(
            edition=1,
            task="t",
            seed=0,
            data="rows",
            student="s",
            datasets={},
            models={},
            rules={},
            probes={},
            dialogues={},
            rubrics={},
            stages=(),
            hashes=Hashes(data="", prompts="", reward="", train=""),
            files={name: hash_text(text) for name, text in texts.items()},
            provenance=Provenance(compiler="0", sources={}),
        ),
        **changes,
    )
    whole = replace(manifest, content_hash=compute_content_hash(manifest))
    (directory / "manifest.json").write_bytes(dump_canonical(whole).encode("utf-8"))
    return directory


def test_a_whole_artifact_is_read(tmp_path: Path) -> None:
    artifact = read_artifact(write_artifact(tmp_path))
    assert artifact.manifest.task == "t"
    assert artifact.prompts == {"prompts/a.jinja": PROMPT}
    assert artifact.rewards == {"exgrpo": build_exgrpo()}


def test_missing_directory_and_missing_manifest(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArtifactError, match="exgrpo compile"):
            read_artifact(directory)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "\ufeff{}"])
def test_damaged_json(tmp_path: Path, text: str) -> None:
    write_artifact(tmp_path)
    (tmp_path / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(ArtifactError, match=r"manifest\.json is not JSON"):
        read_artifact(tmp_path)


def test_not_utf8(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_artifact(tmp_path)


def test_newer_format(tmp_path: Path) -> None:
    write_artifact(tmp_path, format=FORMAT + 1)
    with pytest.raises(ArtifactError, match=f"format {FORMAT + 1}; this exgrpo reads formats up to {FORMAT}"):
        read_artifact(tmp_path)


@pytest.mark.parametrize("version", [0, -1, "1", None])
def test_no_format(tmp_path: Path, version: object) -> None:
    write_artifact(tmp_path)
    edit_manifest(tmp_path, format=version)
    with pytest.raises(ArtifactError, match="no artifact format"):
        read_artifact(tmp_path)


def edit_manifest(directory: Path, **changes: Any) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def rewrite_manifest(directory: Path, files: dict[str, str]) -> None:
    """Other files, with a content hash that fits: what an attacker would write."""
    path = directory / "manifest.json"
    changed = replace(validate_json(Manifest, path.read_text("utf-8")), files=files)
    whole = replace(changed, content_hash=compute_content_hash(changed))
    path.write_text(dump_canonical(whole), "utf-8")


def test_edited_manifest(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    edit_manifest(tmp_path, seed=1)
    with pytest.raises(ArtifactError, match="does not match its own content hash"):
        read_artifact(tmp_path)


def test_unknown_key_is_malformed_not_ignored(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    edit_manifest(tmp_path, surprise=1)
    with pytest.raises(ArtifactError, match="malformed at `surprise`"):
        read_artifact(tmp_path)


@pytest.mark.parametrize("name", ["reward.json", "prompts/a.jinja"])
def test_edited_file(tmp_path: Path, name: str) -> None:
    write_artifact(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n", 1))
    with pytest.raises(ArtifactError, match="does not match its hash"):
        read_artifact(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    (tmp_path / "prompts" / "a.jinja").unlink()
    with pytest.raises(ArtifactError, match="belongs to the artifact and cannot be read"):
        read_artifact(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "prompts/../../secret"])
def test_file_outside_the_artifact(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "artifact"
    (tmp_path / "secret").write_text("x", "utf-8")
    write_artifact(directory)
    rewrite_manifest(directory, {name: hash_text("x")})
    with pytest.raises(ArtifactError, match="outside the artifact"):
        read_artifact(directory)


@pytest.mark.parametrize("text", ["{}", "not json", '{"format": 1, "rewards": {"r": {}}}'])
def test_reward_file_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ArtifactError, match=r"reward\.json is not a reward file"):
        read_artifact(write_artifact(tmp_path, files={"reward.json": text}))


def test_artifact_without_a_reward_file(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    rewrite_manifest(tmp_path, {"prompts/a.jinja": hash_text(PROMPT)})
    with pytest.raises(ArtifactError, match=r"reward\.json is not a reward file"):
        read_artifact(tmp_path)


def test_an_artifact_of_the_first_format_still_loads() -> None:
    """`format_1/lessons` was written by the compiler that introduced format 1, and is never written again."""
    artifact = read_artifact(Path(__file__).parent / "format_1" / "lessons")
    assert artifact.manifest.format == 1
    assert artifact.manifest.format < FORMAT
    (train,) = (stage for stage in artifact.manifest.stages if isinstance(stage, GrpoStage))
    assert (train.truncated, train.silent, train.resample, train.kl_gradient) == (
        "train",
        "keep",
        0,
        "unbiased",
    )
    reward = artifact.rewards["judged"]
    rollouts = [
        Rollout(scenario="full", turns={"explain": (), "final": text}, tokens=0, num_turns=1, seed=0)
        for text in ("It is 4.", "It is 5.")
    ]
    scores = evaluate_reward(
        reward, {"question": "What is 2 + 2?", "gold": 4, "solution": "2 + 2 = 4"}, rollouts
    )
    assert scores.terms["outcome"] == (1.0, 0.0)
    assert scores.totals == (0.7, 0.0)


def test_an_artifact_from_before_declassify_was_recorded_is_read(tmp_path: Path) -> None:
    path = write_artifact(tmp_path) / "manifest.json"
    plain = json.loads(path.read_text("utf-8"))
    del plain["declassified"]
    plain["content_hash"] = hash_value({**plain, "content_hash": ""})
    path.write_text(json.dumps(plain), "utf-8")
    assert read_artifact(tmp_path).manifest.declassified == ()
