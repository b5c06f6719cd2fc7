"""What every reference page carries with it: its colours and type, and the index's search. Constants only."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { --ground: #fff; --ink: #1d2733; --quiet: #5b6876; --rule: #dde3e9; --box: #f6f8fa; --link: #1f5f99;
  --kind: #2f7d5b; --warn: #93690f; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171d; --ink: #e4e9ee; --quiet: #9aa7b4; --rule: #2b3540; --box: #1b222b;
  --link: #7db8ea; --kind: #63c297; --warn: #d8ab4a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem 6rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
h1 { font-size: 1.7rem; margin: .2rem 0 1.2rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .85rem; margin: 1.2rem 0 .35rem; color: var(--quiet); font-weight: 600; }
article { border-top: 1px solid var(--rule); margin-top: 2.4rem; } article h2 { margin-top: 1.4rem; }
.kind { color: var(--kind); font: .85em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.quiet { color: var(--quiet); } .warn { color: var(--warn); }
pre, code { font: .86rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--box); border: 1px solid var(--rule); border-radius: 6px; padding: .8rem 1rem;
  overflow-x: auto; margin: .4rem 0; }
pre.header { padding: .45rem .8rem; white-space: pre-wrap; }
code { background: var(--box); padding: .1em .3em; border-radius: 4px; }
blockquote { margin: 0; padding: .1rem 0 .1rem 1rem; border-left: 3px solid var(--rule); white-space: pre-wrap; }
.scroll, .picture { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; } td, th { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0;
  border-bottom: 1px solid var(--rule); } th { color: var(--quiet); font-weight: 600; }
ul.index, ul.contents { list-style: none; padding: 0; margin: .4rem 0; } ul.contents { columns: 15rem; }
ul.index li { padding: .15rem 0; }
#search { width: 100%; font: inherit; color: inherit; background: var(--box); border: 1px solid var(--rule); border-radius: 6px;
  padding: .5rem .8rem; }
summary { cursor: pointer; color: var(--quiet); margin-top: .8rem; }
"""

SEARCH: Final = """
const box = document.getElementById("search"), nothing = document.getElementById("nothing");
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let found = 0;
  for (const section of document.querySelectorAll("section")) {
    let here = 0;
    for (const item of section.querySelectorAll("li")) {
      const isShown = words.every((word) => item.dataset.search.includes(word));
      item.hidden = !isShown;
      here += isShown;
    }
    section.hidden = !here;
    found += here;
  }
  nothing.hidden = found > 0;
});
"""
