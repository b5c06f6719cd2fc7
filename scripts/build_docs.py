"""Writes the pages under `docs/` that are made from the program itself: `docs/diagnostics/`. Run it through `make docs`.

Nothing is written by hand in these files; `tests/test_docs.py` fails where they are not what this makes of the program.
"""

from __future__ import annotations

from pathlib import Path

from exgrpo_compiler.registry import Page, find_page, list_ids

DOCS = Path(__file__).parents[1] / "docs"
_INDEX = """# Diagnostics

What `exgrpo check` can find wrong with a spec, one page for each; `exgrpo explain ID` shows the same page in a terminal, offline.
An **error** means that the spec cannot be compiled. A **warning** means that it can and most likely should not.

## Formats

`exgrpo check --format human|json|sarif|github` prints the same diagnostics:

| format | what | where |
|---|---|---|
| `human` | the source with what is wrong marked in it | stderr, in color on a terminal unless `NO_COLOR` is set |
| `json` | one line each: a diagnostic of the Language Server Protocol, the `uri` of its file, in `data` the hint and a fix | stdout |
| `sarif` | one SARIF 2.1.0 log for all files, also where nothing was found, for code scanning | stdout |
| `github` | workflow commands that GitHub Actions shows at the lines of a pull request | stdout |

## Silences

A warning that is meant to stay is silenced where it stands, with a reason:

```exg
exg 1

// allow: name-style -- the name under which the dataset was published
const maxTokens = 500
```

- The comment stands alone on a line above the one where the diagnostic's first mark begins, or at the end of that line.
- Several ids share a reason: `// allow: name-style, continued-line -- kept as in the paper`.
- Where a statement without braces begins on that line, all of its lines are covered. A mistake inside a template is therefore silenced
  above the statement that holds the template. Of a declaration or a block only the first line is covered.
- A silence counts for what stands in its own file, also where the file is imported.
- Errors cannot be silenced ([silenced-error](silenced-error.md)). A silence needs its reason
  ([silence-without-reason](silence-without-reason.md)) and an id that exists ([unknown-silence](unknown-silence.md)); one that
  silences nothing is a warning itself ([unused-silence](unused-silence.md)).

## All diagnostics

| id | severity | what is wrong |
|---|---|---|
"""


def build_diagnostics() -> dict[str, str]:
    """The files of `docs/diagnostics/` by name."""
    pages = [page for page in map(find_page, list_ids()) if page is not None]
    rows = "".join(
        f"| [{page.id}]({page.id}.md) | {page.severity} | {_escape_cell(page.summary)} |\n" for page in pages
    )
    return {"README.md": _INDEX + rows, **{f"{page.id}.md": _build_page(page) for page in pages}}


def _build_page(page: Page) -> str:
    line = f"{page.severity}: {page.summary}"
    body = page.text.replace(line, f"**{page.severity}**: {page.summary}", 1).rstrip("\n")
    return f"{body}\n\n---\n[All diagnostics](README.md)\n"


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")


def write_files(directory: Path, files: dict[str, str]) -> None:
    """Makes a directory hold these files and no other Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.md"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_files(DOCS / "diagnostics", build_diagnostics())
