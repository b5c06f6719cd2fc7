"""Every diagnostic that exists: one page of Markdown for each id, in `pages/`, and how a page is read.

    # ID

    error: One sentence that says what is wrong, in general.

    ## What it does
    ## Why it is bad
    ## Example      a fence `exg` that gives the diagnostic
    ## Fix          the same, mended

`exgrpo explain`, `docs/diagnostics/` and the rules of a SARIF log are all made from these pages. A fence `exg name=FILE` holds a
further file that the spec imports, a fence `console` the commands that show what no spec alone can show. Pages are read one at a
time, when something is printed: a check that finds nothing reads none.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePath
from typing import Final

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Severity, find_closest

DOCS: Final = "https://github.com/exgrpo/exgrpo/blob/main/docs/diagnostics"
"""Where the pages of `docs/diagnostics/` are published."""

_SECTIONS: Final = ("What it does", "Why it is bad", "Example", "Fix")
_SUMMARY = re.compile(r"(error|warning): (.+)")
_FENCE = re.compile(r"^```(\w+)(?: name=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Sample(NamedTuple):
    """What an example or a fix consists of."""

    spec: str
    """The spec itself; empty where the commands make it."""
    files: tuple[tuple[str, str], ...]
    """Further files: name and text."""
    commands: str
    """Lines of a shell, or empty where `exgrpo check` of the spec is meant."""


class Page(NamedTuple):
    """All that is to be said about an id."""

    id: str
    severity: Severity
    summary: str
    what: str
    why: str
    example: Sample
    fix: Sample
    text: str
    """The whole page, Markdown."""


class MalformedPageError(ValueError):
    """A page has not the form that all of them have."""


def list_ids() -> tuple[str, ...]:
    """Every id that has a page, in alphabetical order."""
    from importlib.resources import files

    names = (entry.name for entry in files(__package__).joinpath("pages").iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in names if name.endswith(".md")))


@cache
def find_page(id_: str) -> Page | None:
    """The page of an id, or None where there is none.

    Raises:
        MalformedPageError: there is one, but not in the form of a page.
    """
    if not re.fullmatch(r"[a-z0-9-]+", id_):
        return None
    try:
        # The loader of a module reads from a zip archive as it does from a directory.
        raw = __loader__.get_data(str(PurePath(__file__).parent / "pages" / f"{id_}.md"))  # type: ignore[name-defined]
    except OSError:
        return None
    return read_page(id_, raw.decode("utf-8").replace("\r\n", "\n"))


def suggest_id(id_: str) -> str | None:
    """The id that was probably meant, or None."""
    return find_closest(id_, list_ids())


def build_link(id_: str) -> str:
    """Address of the published page of an id."""
    return f"{DOCS}/{id_}.md"


def convert_page(page: Page) -> dict[str, object]:
    """A page as plain values, for JSON."""
    return {
        "id": page.id,
        "severity": page.severity,
        "summary": page.summary,
        "what": page.what,
        "why": page.why,
        "example": _convert_sample(page.example),
        "fix": _convert_sample(page.fix),
        "url": build_link(page.id),
    }


def _convert_sample(sample: Sample) -> dict[str, object]:
    return {"spec": sample.spec, "files": dict(sample.files), "commands": sample.commands.splitlines()}


def read_page(id_: str, text: str) -> Page:
    """The parts of a page.

    Raises:
        MalformedPageError: a part is missing or stands at another place.
    """
    head, *sections = _split_sections(text)
    lines = [line for line in head.split("\n") if line]
    match = _SUMMARY.fullmatch(lines[1]) if len(lines) == 2 and lines[0] == f"# {id_}" else None
    if match is None:
        raise MalformedPageError(f"{id_}: the page begins with `# {id_}` and then `error: …` or `warning: …`")
    titles = tuple(section.partition("\n")[0] for section in sections)
    if titles != _SECTIONS:
        raise MalformedPageError(f"{id_}: the sections are {', '.join(_SECTIONS)}, not {', '.join(titles)}")
    what, why, example, fix = (section.partition("\n")[2].strip() for section in sections)
    severity: Severity = "error" if match[1] == "error" else "warning"
    return Page(id_, severity, match[2], what, why, _read_sample(id_, example), _read_sample(id_, fix), text)


def _split_sections(text: str) -> list[str]:
    """The text before the first `## `, and each section without that sign; a `## ` inside of a fence is none."""
    parts = [""]
    is_fenced = False
    for line in text.split("\n"):
        is_fenced ^= line.startswith("```")
        if line.startswith("## ") and not is_fenced:
            parts.append("")
        parts[-1] += line.removeprefix("## ") + "\n" if not is_fenced else line + "\n"
    return parts


def _read_sample(id_: str, section: str) -> Sample:
    spec, files, commands = "", [], ""
    for language, name, text in _FENCE.findall(section):
        if language == "exg" and name:
            files.append((name, text))
        elif language == "exg" and not spec:
            spec = text
        elif language == "console" and not commands:
            commands = text
        else:
            raise MalformedPageError(f"{id_}: a fence `{language}` too many")
    if not spec and not commands:
        raise MalformedPageError(f"{id_}: an example and a fix hold a fence `exg` or `console` each")
    return Sample(spec, tuple(files), commands)
