"""Records of a run: a row, a probe about it, and why something was left out.

Invariant: every record survives `from_json(to_json())` unchanged, so a resumed stage sees what a fresh one
saw. Field values are plain JSON: text, numbers, booleans, and lists or objects of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A dataset's row with its typed fields."""

    uid: str
    """`split:position:hash`; the same rows in the same order give the same ids."""
    split: str
    fields: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return _to_dict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Row:
        """The row that `to_json` wrote."""
        return cls(uid=value["uid"], split=value["split"], fields=dict(value["fields"]))


@dataclass(frozen=True, slots=True)
class Probe:
    """A teacher's probe about one row, by one rule."""

    row: str
    """The row's uid."""
    rule: str
    fields: dict[str, Any]
    """What the `probes` declaration yields."""
    reveals: bool
    """Whether it states the answer on purpose; then it never stands before a rollout's final question."""
    sample: int = 0
    """Which of several answers of the teacher it comes from."""

    def to_json(self) -> dict[str, Any]:
        """The probe as a JSON object."""
        return _to_dict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Probe:
        """The probe that `to_json` wrote."""
        return cls(
            row=value["row"],
            rule=value["rule"],
            fields=dict(value["fields"]),
            reveals=bool(value["reveals"]),
            sample=int(value.get("sample", 0)),
        )


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row, a probe, or a whole item that was left out."""

    stage: str
    """Name of the stage; `data` for rows that did not convert."""
    row: str
    """The row's uid."""
    rule: str | None
    """Rule of the probe; None where the row itself was left out."""
    reason: str
    """Kebab-case id, or the name of the filter that was not met."""
    detail: str
    sample: int | None = None
    """Of the probe, as in `Probe`; None where the row itself was left out."""

    def to_json(self) -> dict[str, Any]:
        """The rejection as a JSON object."""
        return _to_dict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rejection:
        """The rejection that `to_json` wrote."""
        known = {name: value[name] for name in ("stage", "row", "rule", "reason", "detail")}
        return cls(**known, sample=value.get("sample"))


def _to_dict(record: Row | Probe | Rejection) -> dict[str, Any]:
    """The fields by name. Their values are shared, not copied as `dataclasses.asdict` does it, for a tenth of the time."""
    return {name: getattr(record, name) for name in record.__slots__}
