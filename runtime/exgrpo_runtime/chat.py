"""A dialogue as token ids, in the words of the tokenizer's own chat template.

Rollouts are token-in, token-out: an assistant turn is never decoded and encoded again. So the template is
needed in pieces: what opens a dialogue, what stands between two assistant turns, and what ends one. The
pieces are found by rendering the template with placeholder texts.

Invariant: `encode_opening(s, u1) + answer + encode_followup(u2)` is what the template makes of the same
messages, where `answer` ends with the end-of-turn token. Text of a user that spells a special token stays
plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import TemplateError

from exgrpo_artifact.errors import ModelError

_SYSTEM, _USER, _ANSWER, _NEXT = "Zqsystemqz", "Zquserqz", "Zqanswerqz", "Zqnextqz"
_READABLE = {_USER: "QUESTION", _ANSWER: "ANSWER", _NEXT: "NEXT"}
_SHOWN = 40
"""Characters of a template that an error shows."""


class _Pieces(NamedTuple):
    """Literal text of a template around the contents of its messages."""

    head: str
    middle: str | None
    """Between the system text and the first user text; None where the opening has no system text."""
    tail: str
    """From the user text to the assistant's first token."""


class ChatFormat:
    """The pieces of one tokenizer's chat template.

    Raises:
        ModelError: there is no template, or it does not keep earlier turns as they were, or it does not end
            an assistant turn with a special token.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                f"The tokenizer of {_name(tokenizer)} has no chat template, so it cannot hold a dialogue. "
                "Take an instruction-tuned model, or add a chat_template to its tokenizer_config.json."
            )
        self._special = {
            token.content: index for index, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        self._plain = self._find_opening(None)
        self._has_system = self._accepts_system()
        self._with_system = self._find_opening(_SYSTEM) if self._has_system else None
        self._end_text, self._between = self._find_between()
        self.eos_id: int = self._special[self._end_text]
        """The end-of-turn token; at most a prefix of what `stop_ids` holds."""
        own = tokenizer.eos_token_id
        self.stop_ids: tuple[int, ...] = (self.eos_id,) if own in (None, self.eos_id) else (self.eos_id, own)
        """Tokens that end an assistant turn when sampled."""
        pad = tokenizer.pad_token_id
        self.pad_id: int = self.eos_id if pad is None else pad

    # --- what others call -----------------------------------------------------------------------------------

    def encode_opening(self, system: str | None, user: str) -> list[int]:
        """Everything up to and including the assistant's header.

        A template without a system role gets the system text before the first user text, a blank line
        between.
        """
        if system is None:
            return self._join(self._plain.head, user, self._plain.tail)
        if self._with_system is None or self._with_system.middle is None:
            return self._join(self._plain.head, f"{system}\n\n{user}", self._plain.tail)
        pieces = self._with_system
        return self._join(pieces.head, system, self._with_system.middle, user, pieces.tail)

    def encode_followup(self, user: str) -> list[int]:
        """What stands between a sampled end-of-turn token and the first token of the next assistant turn."""
        # The end token in front keeps tokenizers from adding the blank that they put before a text's first
        # word.
        return self._join(self._end_text + self._between, user, self._plain.tail)[1:]

    def encode_answer(self, text: str) -> list[int]:
        """An assistant's text and the end-of-turn token."""
        header = self._tail_after_special()
        prefix = self._encode(header)
        whole = self._join(header, text, self._end_text)
        if whole[: len(prefix)] == prefix:
            return whole[len(prefix) :]
        return self._join("", text, self._end_text)

    def decode(self, token_ids: list[int]) -> str:
        """Text of an assistant turn, without special tokens."""
        text: str = self.tokenizer.decode(
            token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    # --- reading the template -------------------------------------------------------------------------------

    def _render(self, messages: list[dict[str, str]]) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise ModelError(
                f"The chat template of {_name(self.tokenizer)} fails on a plain dialogue: {error}. "
                "Change its chat_template, or take another model."
            ) from error
        return text

    def _accepts_system(self) -> bool:
        try:
            text = self._render([_message("system", _SYSTEM), _message("user", _USER)])
        except ModelError:  # a template refuses a role by failing
            return False
        return 0 <= text.find(_SYSTEM) < text.find(_USER)

    def _find_opening(self, system: str | None) -> _Pieces:
        start = [] if system is None else [_message("system", system)]
        text = self._render([*start, _message("user", _USER)])
        if text.count(_USER) != 1:
            raise ModelError(
                f"The chat template of {_name(self.tokenizer)} does not show a user's text just once: it may want "
                "messages that are lists of parts, as models of images do. Take a model of text alone."
            )
        before, tail = text.split(_USER)
        if system is None:
            return _Pieces(before, None, tail)
        head, middle = before.split(system)
        return _Pieces(head, middle, tail)

    def _find_between(self) -> tuple[str, str]:
        """The end-of-turn token's text, and the literal text from there to the next user text."""
        opening = self._render([_message("user", _USER)]) + _ANSWER
        turns = [_message("user", _USER), _message("assistant", _ANSWER), _message("user", _NEXT)]
        text = self._render(turns)
        if not text.startswith(opening):
            raise ModelError(self._explain_drift(opening, text))
        between, found, _ = text[len(opening) :].partition(_NEXT)
        expected = opening + between + _NEXT + self._plain.tail
        if not found or text != expected:
            raise ModelError(self._explain_drift(expected, text))
        self._verify_later_turns(turns, expected + _ANSWER + between + _NEXT + self._plain.tail)
        stripped = between.lstrip()
        ends = [token for token in self._special if stripped.startswith(token)]
        if not ends:
            raise ModelError(
                f"The chat template of {_name(self.tokenizer)} does not end an assistant turn with a special "
                f"token (it has {between!r} there), so the student could not say when it is done."
            )
        end = max(ends, key=len)
        return end, stripped[len(end) :]

    def _verify_later_turns(self, turns: list[dict[str, str]], expected: str) -> None:
        """Some templates treat the second answer of a dialogue unlike the first, or the last unlike the others."""
        text = self._render([*turns, _message("assistant", _ANSWER), _message("user", _NEXT)])
        if text != expected:
            raise ModelError(self._explain_drift(expected, text))

    def _explain_drift(self, expected: str, found: str) -> str:
        for placeholder, word in _READABLE.items():
            expected, found = expected.replace(placeholder, word), found.replace(placeholder, word)
        at = _find_difference(expected, found)
        expected_ids, found_ids = self._encode(expected), self._encode(found)
        place = _find_difference(expected_ids, found_ids)
        return (
            f"The chat template of {_name(self.tokenizer)} does not keep earlier turns as they were, "
            f"so a rollout of several turns would be trained on tokens that were never sampled. "
            f"Token {place} is {self._show_token(found_ids, place)} where the dialogue had "
            f"{self._show_token(expected_ids, place)}: {found[at : at + _SHOWN]!r} for "
            f"{expected[at : at + _SHOWN]!r}. "
            "Take a model whose template keeps earlier turns, or change its chat_template."
        )

    def _show_token(self, ids: list[int], place: int) -> str:
        return (
            f"{self.tokenizer.decode(ids[place : place + 1])!r} ({ids[place]})"
            if place < len(ids)
            else "none"
        )

    # --- encoding -------------------------------------------------------------------------------------------

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def _join(self, *parts: str) -> list[int]:
        """Ids of the parts in a row; those at odd places are contents, the others pieces of the template."""
        if not any(token in part for part in parts[1::2] for token in self._special):
            return self._encode("".join(parts))
        ids: list[int] = []
        run = ""
        for place, part in enumerate(parts):
            if place % 2:
                run += part
                continue
            for piece in self._split_special(part):
                if piece in self._special:
                    ids += [*(self._encode_plain(run) if run else []), self._special[piece]]
                    run = ""
                else:
                    run += piece
        return ids + (self._encode_plain(run) if run else [])

    def _split_special(self, text: str) -> list[str]:
        pieces: list[str] = []
        while text:
            found = [(text.find(token), -len(token), token) for token in self._special if token in text]
            if not found:
                return [*pieces, text]
            at, _, token = min(found)
            pieces += [text[:at], token] if at else [token]
            text = text[at + len(token) :]
        return pieces

    def _tail_after_special(self) -> str:
        """The last special token of the assistant's header and what follows it."""
        pieces = self._split_special(self._plain.tail)
        last = max((i for i, piece in enumerate(pieces) if piece in self._special), default=0)
        return "".join(pieces[last:])


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _find_difference(one: Sequence[object], other: Sequence[object]) -> int:
    """The first place at which they differ; the shorter one's length where there is none before it."""
    shorter = min(len(one), len(other))
    return next((i for i in range(shorter) if one[i] != other[i]), shorter)


def _name(tokenizer: Any) -> str:
    return str(getattr(tokenizer, "name_or_path", "") or "the student")
