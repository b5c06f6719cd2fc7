"""Writes what stands under `docs/` and is made from the program itself, through `make docs`.

These are the files of `docs/diagnostics/`, and the tables of `docs/language.md` between their markers. Nothing in them
is written by hand; `tests/test_docs.py` fails where they are not what this makes of the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from exgrpo_compiler.builtins import (
    BLOCKS_OF_MODEL,
    DATASET,
    DEFAULT_LR,
    FORMS,
    FUNCTIONS,
    MODEL_ARGUMENTS,
    MODEL_SETTINGS,
    PROBES,
    STAGES,
    Function,
    Param,
    Setting,
)
from exgrpo_compiler.check.calls import PLACES
from exgrpo_compiler.registry import Page, find_page, list_ids

DOCS = Path(__file__).parents[1] / "docs"
_INDEX = """# Diagnostics

What `exgrpo check` can find wrong with a spec, one page for each; `exgrpo explain ID` shows the same page in a terminal, offline.
An **error** means that the spec cannot be compiled. A **warning** means that it can and most likely should not.

## Formats

`exgrpo check --format human|json|sarif|github` prints the same diagnostics:

| format | what | where |
|---|---|---|
| `human` | the source with what is wrong marked in it | stderr, colored (see `NO_COLOR`) and wrapped on a terminal |
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


def build_language(page: str) -> str:
    """The page of the language with its tables as the program has them."""
    for name, table in (("functions", _build_functions()), ("settings", _build_settings())):
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if begin not in page or end not in page:
            raise ValueError(f"the page has no `{begin.strip()}` … `{end}`")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return page


def _build_functions() -> str:
    rows = [
        (_write_signature(function), _write_places(function), _write_result(function), function.doc)
        for function in FUNCTIONS.values()
    ]
    rows.extend((form.written, form.where, form.result, form.doc) for form in FORMS)
    return "| function | where | gives | |\n|---|---|---|---|\n" + "".join(
        f"| `{written}` | {where} | {_escape_cell(result)} | {_escape_cell(doc)} |\n"
        for written, where, result, doc in rows
    )


_HOMES = {"field": "fields", "reward": "rewards", "filter": "filters"}


def _write_places(function: Function) -> str:
    own = PLACES.get(function.name)
    places = "expressions" if own is None else ", ".join(_HOMES[place] for place in own)
    return f"{places}, pipes, templates" if function.is_filter else places


def _write_signature(function: Function) -> str:
    params = [_write_param(param) for param in function.params]
    return f"{function.name}({', '.join([*params, *(['…'] if function.is_variadic else [])])})"


def _write_param(param: Param) -> str:
    shown = f"{param.name}: {param.type.kind}"
    return shown if param.is_required else f"[{shown}]"


def _write_result(function: Function) -> str:
    return (
        f"{function.result.kind}, in the unit of its arguments"
        if function.keeps_unit
        else function.result.kind
    )


def _build_settings() -> str:
    rows = [
        *(_write_settings(f"stage `{kind}`", settings) for kind, settings in STAGES.items()),
        _write_settings("`probes`", PROBES),
        _write_settings("`dataset`", DATASET),
        *(_write_settings(f"model `{kind}(…)`", settings) for kind, settings in MODEL_ARGUMENTS.items()),
        *(_write_settings(f"model `{kind}` {{ … }}", settings) for kind, settings in MODEL_SETTINGS.items()),
        *(
            _write_settings(f"model `{kind}` {{ {block} {{ … }} }}", settings)
            for kind, blocks in BLOCKS_OF_MODEL.items()
            for block, settings in blocks.items()
        ),
    ]
    rates = ", ".join(f"{stage} with {name} {rate:g}" for (stage, name), rate in DEFAULT_LR.items())
    table = "| of | setting | default | what may stand there |\n|---|---|---|---|\n" + "".join(rows)
    return f"{table}\n`lr`, where none is given: {rates}.\n"


def _write_settings(of: str, settings: Mapping[str, Setting]) -> str:
    return "".join(
        f"| {of} | `{setting.name}` | {_write_default(setting)} | {_write_due(setting)} |\n"
        for setting in settings.values()
    )


def _write_default(setting: Setting) -> str:
    if setting.is_required:
        return "required"
    if setting.default is None:
        return ""
    written = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
    return f"`{written}{setting.unit or ''}`"


_DUES = {
    "int": "a whole number",
    "number": "a number",
    "text": "a text",
    "texts": "a list of texts",
    "env": "`env(…)`",
    "urls": "a text or `env(…)`, or a list of these",
    "counts": "a record of scenarios with their counts",
    "shares": "a record of names with their shares in %",
    "names": "a list of names",
    "ref": "a name",
}


def _write_due(setting: Setting) -> str:
    if setting.choices is not None:
        return " ".join(f"`{choice}`" for choice in setting.choices)
    unit = f" in `{setting.unit}`" if setting.unit else ""
    bounds = [
        *([f"above {setting.above:,g}"] if setting.above is not None else []),
        *([f"from {setting.low:,g}"] if setting.low is not None else []),
        *(
            [f"to {setting.high:,.0f}" if setting.high >= 1 else f"to {setting.high:g}"]
            if setting.high
            else []
        ),
    ]
    return f"{_DUES[setting.due]}{unit}" + (", " + " ".join(bounds) if bounds else "")


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
    language = DOCS / "language.md"
    language.write_text(build_language(language.read_text("utf-8")), encoding="utf-8")
