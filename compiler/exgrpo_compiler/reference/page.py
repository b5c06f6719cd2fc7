"""Reference pages: one self-contained HTML page for each file and one index over all, with a search that needs no server.

Everything that a spec says is escaped; nothing of it is ever markup. Pages follow the reader's light or dark colours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from exgrpo_compiler.program import Key
from exgrpo_compiler.reference.collect import Described, DescribedModule, Table
from exgrpo_compiler.reference.style import SEARCH, STYLE

Pages = Mapping[str, str]
"""Module -> file name of its page."""

_CODE = re.compile(r"`([^`\n]+)`")


class Writer:
    """Writes pages that link to each other."""

    def __init__(
        self,
        title: str,
        modules: Sequence[DescribedModule],
        names: Mapping[str, str],
        users: Mapping[Key, tuple[Key, ...]],
    ) -> None:
        """`names` are the modules' titles, as `rules.exg`; a module that is not among them is not linked."""
        self.title = title
        self.modules = modules
        self.names = names
        self.users = users
        self.known = {one.key: one for module in modules for one in module.described}

    def write_index(self) -> str:
        """The index: every declaration with the first sentence of its documentation."""
        sections = []
        for module in self.modules:
            rows = "".join(
                f'<li data-search="{_attribute(f"{one.kind} {one.title} {one.doc}".lower())}">'
                f"<span class=kind>{escape(one.kind)}</span> {self._link(one.key)} "
                f"<span class=quiet>{_inline(_first_sentence(one.doc))}</span></li>"
                for one in module.described
            )
            page = _attribute(get_page_name(self.names[module.name]))
            sections.append(
                f'<section><h2><a href="{page}">{escape(self.names[module.name])}</a></h2><ul class=index>{rows}</ul></section>'
            )
        search = (
            '<input id=search type=search placeholder="search names and documentation" aria-label=search>'
        )
        nothing = "<p id=nothing class=quiet hidden>Nothing is called so.</p>"
        return _wrap(
            self.title,
            f"<h1>{escape(self.title)}</h1>{search}{nothing}{''.join(sections)}<script>{SEARCH}</script>",
        )

    def write_module(self, module: DescribedModule) -> str:
        """The page of a file."""
        name = self.names[module.name]
        contents = "".join(
            f"<li><span class=kind>{escape(one.kind)}</span> {self._link(one.key, module.name)}</li>"
            for one in module.described
        )
        broken = (
            "<p class=warn>This file has errors; `exgrpo check` shows them. What could not be read is missing here.</p>"
            if module.is_broken
            else ""
        )
        body = "".join(self._write_one(one) for one in module.described)
        top = f'<p class=quiet><a href="{_up(name)}index.html">{escape(self.title)}</a></p><h1>{escape(name)}</h1>'
        return _wrap(f"{name}: {self.title}", f"{top}{broken}<ul class=contents>{contents}</ul>{body}")

    def _write_one(self, one: Described) -> str:
        header = " ".join(one.header.source.text[one.header.start : one.header.end].split())
        parts = [
            f'<article id="{_attribute(_anchor(one.key))}">',
            f"<h2><span class=kind>{escape(one.kind)}</span> {escape(one.title)}</h2>",
            f"<pre class=header>{escape(header)}</pre>",
            _paragraphs(one.doc),
        ]
        parts += [
            f"<h3>{escape(title)}</h3><blockquote>{escape(text)}</blockquote>" for title, text in one.prose
        ]
        parts += [_write_table(table) for table in one.tables]
        if one.picture is not None:
            parts.append(f"<div class=picture>{one.picture}</div>")
        users = self.users.get(one.key, ())
        if users:
            links = ", ".join(self._link_user(user, one.key.module) for user in users)
            parts.append(f"<p class=quiet>Used by {links}</p>")
        parts.append(
            f"<details><summary>source</summary><pre>{self._write_source(one)}</pre></details></article>"
        )
        return "".join(parts)

    def _write_source(self, one: Described) -> str:
        text, start = one.span.source.text, one.span.start
        pieces: list[str] = []
        for link in sorted(one.links, key=lambda item: item.span.start):
            if (
                link.span.start < start
                or link.span.source != one.span.source
                or link.target not in self.known
            ):
                continue
            pieces.append(escape(text[start : link.span.start]))
            pieces.append(self._link(link.target, one.key.module, text[link.span.start : link.span.end]))
            start = link.span.end
        return "".join([*pieces, escape(text[start : one.span.end])])

    def _link_user(self, key: Key, module: str) -> str:
        """A link that says where the user is, if elsewhere."""
        elsewhere = "" if key.module == module else f" in {escape(self.names[key.module])}"
        return self._link(key, module) + elsewhere

    def _link(self, key: Key, module: str | None = None, text: str | None = None) -> str:
        one = self.known.get(key)
        if one is None:
            return escape(key.name if text is None else text)
        shown = escape(one.title if text is None else text)
        up = _up(self.names[module]) if module is not None else ""
        page = "" if module == key.module else up + get_page_name(self.names[key.module])
        return f'<a href="{_attribute(page)}#{_attribute(_anchor(key))}">{shown}</a>'


def get_page_name(module: str) -> str:
    """File name of a module's page: `tasks/gsm8k.exg` has `tasks/gsm8k.html`."""
    return module.removesuffix(".exg") + ".html"


def _up(module: str) -> str:
    return "../" * module.count("/")


def _anchor(key: Key) -> str:
    return re.sub(r"[^\w-]", "-", key.name)


def _write_table(table: Table) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<h3>{escape(table.title)}</h3><div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _paragraphs(doc: str) -> str:
    blocks = [block for block in re.split(r"\n\s*\n", doc.strip()) if block.strip()]
    return "".join(f"<p>{_inline(block)}</p>" for block in blocks)


def _inline(text: str) -> str:
    """Documentation with its `code` marked; nothing else in it is markup."""
    return _CODE.sub(lambda found: f"<code>{found[1]}</code>", escape(text))


def _first_sentence(doc: str) -> str:
    flat = " ".join(doc.split())
    end = re.search(r"[.!?](?= [A-Z]|$)", flat)
    return flat[: end.end()] if end else flat


def _attribute(text: str) -> str:
    return escape(text, quote=True)


def _wrap(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
