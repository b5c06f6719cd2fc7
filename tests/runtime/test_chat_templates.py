# ruff: noqa: E402 - the imports below need what is asked for first
"""Every chat template that TRL ships: taken to pieces that make what the template makes, or refused with the place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
trl = pytest.importorskip("trl")

from exgrpo_artifact.errors import ModelError
from exgrpo_dsl.token_checks import find_drift
from exgrpo_runtime.chat import ChatFormat
from exgrpo_runtime.plans import DialoguePrompt
from tests.support.tiny_student import make_chatml_tokenizer

pytestmark = pytest.mark.train

FILES = {path.stem: path for path in sorted(Path(trl.__file__).parent.glob("chat_templates/*.jinja"))}
SPELLED = re.compile(
    r"<[|\uff5c][^<>'\"]{1,40}?[|\uff5c]>|<\|\w+>|<\w+\|>|</?s>|<\w+_of_turn>|<bos>|<eos>|</?think>"
)
"""How special tokens are written in these templates."""
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="<>|\uff5c"),
    max_size=20,
).map(lambda text: f"x{text}x")
"""Texts with neither blanks at their ends, which many templates strip, nor a special token."""


@pytest.fixture(scope="module")
def tokenizer():
    made = make_chatml_tokenizer()
    spelled = {token for path in FILES.values() for token in SPELLED.findall(path.read_text("utf-8"))}
    made.add_tokens(sorted(spelled - set(made.get_vocab())), special_tokens=True)
    made.bos_token = "<bos>"
    return made


def render(tokenizer, texts) -> str:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def keeps_what_came_before(tokenizer) -> bool:
    """Whether every dialogue begins with the one before it and the answer to that."""
    texts = ["q1", "a1", "q2", "a2", "q3", "a3", "q4"]
    shorter = [render(tokenizer, texts[:end]) + texts[end] for end in (1, 3, 5)]
    longer = [render(tokenizer, texts[: end + 2]) for end in (1, 3, 5)]
    return all(long.startswith(short) for short, long in zip(shorter, longer, strict=True))


def read_format(tokenizer, name: str) -> ChatFormat | str:
    """The template's pieces, or why it is refused."""
    tokenizer.chat_template = FILES[name].read_text("utf-8")
    try:
        return ChatFormat(tokenizer)
    except ModelError as error:
        return str(error)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=7).filter(lambda texts: len(texts) % 2 == 1))
def test_pieces_make_what_the_template_makes_of_any_dialogue(tokenizer, name, texts):
    chat = read_format(tokenizer, name)
    if isinstance(chat, str):
        return
    prompt = DialoguePrompt(
        chat.encode_opening(None, texts[0]), [chat.encode_followup(t) for t in texts[2::2]]
    )
    ids = list(prompt.opening)
    for answer, followup in zip(texts[1::2], prompt.followups, strict=True):
        ids += chat.encode_answer(answer) + followup
    assert ids == tokenizer.encode(render(tokenizer, texts), add_special_tokens=False)


@pytest.mark.parametrize("name", FILES)
def test_a_template_is_refused_just_where_it_rewrites_what_was_said_and_the_token_is_shown(tokenizer, name):
    chat = read_format(tokenizer, name)
    if isinstance(chat, ChatFormat):
        assert keeps_what_came_before(tokenizer)
        return
    if "q1" in render(tokenizer, ["q1"]):
        assert not keeps_what_came_before(tokenizer)
        shown = re.search(
            r"Token (\d+) is (?:'.*?'|\".*?\") \((\d+)\) where the dialogue had .*? \((\d+)\)", chat
        )
        assert shown is not None
        assert shown[2] != shown[3]
    else:
        assert "lists of parts" in chat


def test_both_kinds_are_among_them(tokenizer):
    found = {name: isinstance(read_format(tokenizer, name), ChatFormat) for name in FILES}
    assert found["qwen2_5"]
    assert found["llama3"]
    assert found["gemma3"]
    assert not found["gptoss"]
    assert not found["deepseekv3"]


@pytest.mark.parametrize("name", FILES)
def test_check_says_of_a_template_what_the_run_does(tokenizer, name):
    chat = read_format(tokenizer, name)
    if isinstance(chat, ChatFormat):
        assert find_drift(tokenizer) is None
    elif "lists of parts" not in chat:
        assert find_drift(tokenizer) is not None
