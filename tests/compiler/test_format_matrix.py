"""Every form of the syntax, with a comment of every kind at every place between its words."""

from __future__ import annotations

import re

import pytest

from exgrpo_compiler.format.formatting import list_comments
from tests.compiler.test_format_properties import check_format, make_source

IN_BLOCK = (
    "name = value",
    "a.b = value",
    "on_failure = drop_rollout",
    "secret field gold : number",
    "field question : text = row . answer | before ( '####' ) | strip",
    "split train = 80%",
    "stage probe = ask ( split : train )",
    "keep probe consistent where agrees ( tutor , [ a , b ] , item . gold )",
    "keep item where 1 <= solved ( student , probes ) < count ( probes )",
    "yields { open question : text , answer : list [ text ] ; rationale : text }",
    "system = 'text'",
    "user = '{{ x }}'",
    "assistant final",
    "assistant final : number . last = 'text'",
    "for probe in sample ( probes , 2 ) { user = 'a' }",
    "for probe in probes { user = 'a' ; assistant b }",
    "example 'a' -> 'b'",
    "expect score . total == [ 1 , 0.5 ]",
    "expect a and not b or c > 1",
    "lora { rank = 16 ; alpha = 32 }",
    "variant plain { drop stage train }",
    "variant more { train . group = { full : 7 , partial : 1 } }",
    "total = outcome + ( bonus if d . scenario == full else 0 )",
    "total = a if b else c if d else e",
    "share = mean ( outcome where d . scenario == full else 0 ) / 4 else 0",
    "low = - 1 .. - a",
    "mixed = { a : 1 , b : [ full { final : 'x' } , 2 ] , }",
    "lists = [ [ ] , [ 1 , ] , { } , f ( ) , f ( 1 , x : 2 , ) ]",
    'text = """\n    one\n      // two\n    """ | strip',
    "pattern = last ( `\\(?([A-D])\\)?` )",
    "model = scratch { layers = 3 } ; seed = 1",
)
AT_TOP = (
    "use std . rules . { why , contrast as differs }",
    "use std . rules as r",
    "use './shared.exg' . { limit }",
    "const limit = 512tok",
    "model tutor = openai ( 'x' , api_key : env ( 'KEY' ) ) { budget = 4usd ; price { input = 1usd } }",
    "dataset rows { source = jsonl ( 'rows.jsonl' ) ; field a : text }",
    "rule r ( question : text , secret gold : any , ) { reveals = gold }",
    "answer letter : choice ( 'A' , 'B' ) { extract = last ( `[AB]` ) }",
    "answer bare : text",
    "rubric clear { scale = 0 .. 4 }",
    "reward pay ( d : lesson , item : rows ) -> 0 .. 1.5 { total = 1 }",
    "reward pay ( d : lesson ) -> - 1 .. ( a + b ) { total = 1 }",
    "task t { data = rows ; student = s }",
    "test 'a title' { expect a == 1 }",
    "study s of t { seeds = [ 1 , 2 ] }",
)
COMMENTS = (
    " // note  \n ",
    "\n // note\n ",
    "\n\n // one\n\n\n // two\n\n ",
    " /// trailing\n ",
    "\n /// doc\n ",
)
WORD = re.compile(r'"""[\s\S]*?"""|\'[^\']*\'|`[^`]*`|\S+')


def split_words(form: str) -> list[str]:
    return [word.replace("'", '"') for word in WORD.findall(form)]


def list_words(form: str) -> list[str]:
    """The words of a whole spec that has the form among other statements or declarations."""
    if form in AT_TOP:
        return [*split_words("exg 1"), *split_words(form), *split_words("const other = 1")]
    before, after = split_words("task t { first = 1 ;"), split_words("; last = 2 }")
    return [*split_words("exg 1"), *before, *split_words(form), *after]


@pytest.mark.parametrize("form", [*IN_BLOCK, *AT_TOP])
def test_a_comment_anywhere_is_kept(form: str) -> None:
    words = list_words(form)
    for comment in COMMENTS:
        for place in range(len(words) + 1):
            text = " ".join([*words[:place], ""]) + comment + " ".join(words[place:])
            kept = list_comments(make_source(check_format(text)))
            assert kept == [line.lstrip() for line in comment.split("\n") if line.strip()]


@pytest.mark.parametrize("form", [*IN_BLOCK, *AT_TOP])
def test_a_comment_between_all_words_is_kept(form: str) -> None:
    words = list_words(form)
    for comment in COMMENTS:
        check_format(comment.join(words) + comment)


@pytest.mark.parametrize("form", [*IN_BLOCK, *AT_TOP])
def test_line_breaks_between_all_words_mean_nothing(form: str) -> None:
    words = list_words(form)
    for gap in ("\n ", "\n\n\n   ", "\t"):
        check_format(gap.join(words))
