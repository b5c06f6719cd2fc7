"""Golden cases in Markdown: what a stage says about a spec, as a reader would see it.

A heading names a case, the prose under it says why the case is there, a fence `exg` holds the spec and a fence
`diagnostics` what is expected, rendered without color; without one, nothing may be reported. A fence `exg NAME`
holds a further file that the spec can import. Fences are found before headings, so a `#` inside of one is text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.render.human import render_human
from exgrpo_compiler.source import Source

MAIN_FILE = "spec.exg"
Stage = Callable[[Source, Mapping[str, Source]], Sequence[Diagnostic]]
"""What runs a case: the spec and the further files by name, to diagnostics."""


@dataclass
class Fence:
    """A fenced block: `start` and `end` are the line indices of the fence lines."""

    info: str
    start: int
    end: int
    text: str


@dataclass
class Case:
    """One heading with what stands under it."""

    path: Path
    name: str
    prose: str = ""
    fences: list[Fence] = field(default_factory=list)

    @property
    def id(self) -> str:
        """`folder/file: heading`."""
        return f"{self.path.parent.name}/{self.path.stem}: {self.name}"

    def get_fence(self, info: str) -> Fence | None:
        """The fence with this info string, if the case has it."""
        found = [fence for fence in self.fences if fence.info == info]
        if len(found) > 1:
            raise ValueError(f"{self.id}: more than one fence `{info}`")
        return found[0] if found else None

    def get_expected(self) -> str:
        """The expected rendering; empty when nothing may be reported."""
        fence = self.get_fence("diagnostics")
        return "" if fence is None else fence.text


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises ValueError where it is not well formed."""
    cases: list[Case] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.startswith("```"):
            end = next((at for at in range(index + 1, len(lines)) if lines[at].startswith("```")), None)
            if end is None or lines[end] != "```":
                raise ValueError(f"{path}:{index + 1}: this fence is never closed")
            if not cases:
                raise ValueError(f"{path}:{index + 1}: this fence stands before the first heading")
            text = "\n".join(lines[index + 1 : end])
            cases[-1].fences.append(Fence(line.removeprefix("```").strip(), index, end, text))
            index = end
        elif line.startswith("#"):
            cases.append(Case(path, line.lstrip("#").strip()))
        elif cases:
            cases[-1].prose += line
        index += 1
    _check_cases(path, cases)
    return [case for case in cases if case.fences]


def _check_cases(path: Path, cases: Sequence[Case]) -> None:
    names = [case.name for case in cases]
    for case in cases:
        if names.count(case.name) > 1:
            raise ValueError(f"{path}: two cases are called {case.name!r}")
        if case.fences and case.get_fence("exg") is None:
            raise ValueError(f"{case.id}: no fence `exg`")
        if case.fences and not case.prose.strip():
            raise ValueError(f"{case.id}: no prose says why the case is there")
        unknown = [
            fence.info
            for fence in case.fences
            if fence.info != "diagnostics" and not fence.info.startswith("exg")
        ]
        if unknown:
            raise ValueError(f"{case.id}: a fence is called {unknown[0]!r}")


def run_case(case: Case, stage: Stage) -> str:
    """What the stage reports about a case, rendered."""
    others = {
        fence.info.removeprefix("exg").strip(): fence.text + "\n"
        for fence in case.fences
        if fence.info.startswith("exg ")
    }
    files = {name: Source(name, text, name.removesuffix(".exg")) for name, text in others.items()}
    fence = case.get_fence("exg")
    assert fence is not None
    source = Source(MAIN_FILE, fence.text + "\n", "spec")
    return render_human(stage(source, files), color=False)


def rewrite_case(case: Case, actual: str) -> None:
    """Puts `actual` in place of the expected rendering in the file of a case."""
    fresh = next(other for other in read_cases(case.path) if other.name == case.name)
    lines = case.path.read_text(encoding="utf-8").split("\n")
    block = ["```diagnostics", *actual.split("\n"), "```"] if actual else []
    old = fresh.get_fence("diagnostics")
    if old is not None:
        start = old.start - 1 if not block and lines[old.start - 1] == "" else old.start
        lines[start : old.end + 1] = block
    elif block:
        last = max(fence.end for fence in fresh.fences)
        lines[last + 1 : last + 1] = ["", *block]
    case.path.write_text("\n".join(lines), encoding="utf-8")
