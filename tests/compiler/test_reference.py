"""The reference of a library: what a page tells, that its links lead somewhere, that nothing of a spec is markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exgrpo_dsl.doc import build_reference
from exgrpo_dsl.errors import UsageError
from tests.support.data import ROOT

HOSTILE = """exg 1

/// <script>alert(1)</script> `</code><img src=x>`. More.
dataset rows {
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text
  secret field gold: number
}

/// Uses rows.
dialogue ask(item: rows) {
  user = "</pre><script>alert(2)</script> {{ item.question }}"
  assistant final: number.last = "{{ item.gold }}"
  scenario plain = first(0)
}
"""


class Reader(HTMLParser):
    """Tags, ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return build_reference(ROOT / "specs/exgrpo_specs")


def test_there_is_a_page_for_each_file_and_an_index(pages: dict[str, str]) -> None:
    assert {"index.html", "std/rules.html", "tasks/gsm8k.html", "quickstart/word_problems.html"} <= set(pages)


def test_every_link_leads_to_a_page_and_an_anchor_that_are_there(pages: dict[str, str]) -> None:
    read = {name: Reader(text) for name, text in pages.items()}
    seen = 0
    for name, reader in read.items():
        for link in reader.links:
            page, _, anchor = link.partition("#")
            target = str((Path("/") / Path(name).parent / page).resolve())[1:] if page else name
            assert target in read, link
            assert not anchor or anchor in read[target].ids, link
            seen += 1
    assert seen > 100


def test_pages_need_nothing_from_elsewhere(pages: dict[str, str]) -> None:
    for text in pages.values():
        assert not re.search(r'src=|href="https?:|url\(|@import', text)


def test_a_rule_is_told_with_its_fields_instruction_examples_and_users(pages: dict[str, str]) -> None:
    text = pages["std/rules.html"]
    assert "Why a decisive choice of the solution is the right one." in text
    assert "<td>gold</td><td>any</td><td>secret</td>" in text
    assert "Ask why one decisive choice" in text
    assert re.search(
        r'Used by .*<a href="\.\./tasks/gsm8k\.html#invert">invert</a> in tasks/gsm8k\.exg', text
    )


def test_a_reward_is_told_with_levels_intervals_and_its_picture(pages: dict[str, str]) -> None:
    text = pages["tasks/gsm8k.html"]
    assert (
        "<td>bonus</td><td>0.5 if p_full &gt; 1.0 * p_part else 0</td><td>group</td><td>{0, 0.5}</td>" in text
    )
    assert "<svg" in text


def test_names_in_a_source_are_links(pages: dict[str, str]) -> None:
    assert 'teacher = <a href="#tutor">tutor</a>' in pages["tasks/gsm8k.html"]
    assert '<a href="../std/rules.html#why">why</a>' in pages["tasks/gsm8k.html"]


def test_nothing_that_a_spec_says_is_markup(tmp_path: Path) -> None:
    (tmp_path / "evil.exg").write_text(HOSTILE, "utf-8")
    found = build_reference(tmp_path)
    assert "script" not in Reader(found["evil.html"]).tags
    assert "img" not in Reader(found["evil.html"]).tags
    assert Reader(found["index.html"]).tags.count("script") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found["evil.html"]


def test_the_same_files_give_the_same_pages_wherever_they_lie(tmp_path: Path) -> None:
    found = []
    for parent in ("a", "b"):
        directory = tmp_path / parent / "library"
        directory.mkdir(parents=True)
        (directory / "one.exg").write_text(HOSTILE, "utf-8")
        (directory / "two.exg").write_text(
            'exg 1\nuse "./one.exg".{rows}\n\ndialogue d(item: rows) {\n  user = "{{ item.question }}"\n  assistant final = "x"\n}\n',
            "utf-8",
        )
        found.append(build_reference(directory))
    assert found[0] == found[1]
    assert '<a href="one.html#rows">rows</a>' in found[0]["two.html"]


def test_a_file_with_errors_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "half.exg").write_text(HOSTILE + "\nmodel tutor = nothing(1)\n", "utf-8")
    page = build_reference(tmp_path)["half.html"]
    assert "This file has errors" in page
    assert 'id="rows"' in page


def test_a_directory_without_specs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.exg file"):
        build_reference(tmp_path)
    with pytest.raises(UsageError, match="no directory"):
        build_reference(tmp_path / "absent")


def test_a_probes_block_tells_how_the_teacher_is_asked(pages: dict[str, str]) -> None:
    text = re.sub(r"<[^>]+>", " ", pages["tasks/gsm8k.html"])
    assert "How the teacher is asked" in text
    assert re.search(
        r"requests\s+each rule by itself\s+answers to each\s+1\s+kept of each rule\s+all that pass", text
    )
