"""Words to items and brackets, with each comment at the item that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.format.outline import Starts
from exgrpo_compiler.format.pieces import Bracket, BracketKind, Item, Note, Part, Word
from exgrpo_compiler.format.words import END
from exgrpo_compiler.syntax.terminals import CLOSERS, KINDS, NAMES, OPENERS, STRINGS

_SEPARATORS = frozenset({"COMMA", "SEMICOLON"})
_OPERANDS = NAMES | STRINGS | {"NUMBER", "TRUE", "FALSE"}
NEGATIVE = "NEGATIVE"
"""Type of a minus that stands before one operand."""

SIGNS = frozenset(
    {"EQUALS", "COLON", "ARROW", "ELSE", "IF", "OR", "AND", "WHERE", "COMPARISON"}
    | {"PLUS", "MINUS", "STAR", "SLASH", "PIPE", "RANGE", "DOT"}
)
"""What stands between two operands, and so at the end of a line and not at its beginning."""


class File(NamedTuple):
    """All of a file."""

    items: tuple[Item, ...]
    end: Word


def group_words(words: Sequence[Word], starts: Starts) -> File:
    """The items of a file without syntax errors."""
    contents = _Grouper(words, starts).read_contents("block", 0)
    return File(contents.items, contents.closer)


class _Contents(NamedTuple):
    items: tuple[Item, ...]
    opener_tail: tuple[Note, ...]
    closer: Word
    end: int
    """Index of the closer."""


class _Draft:
    """An item while it is read."""

    def __init__(self, kind: str, first: Word, notes: tuple[Note, ...]) -> None:
        self.parts: list[Part] = []
        self.kind = kind
        self.notes = notes
        self.tail: list[Note] = []
        self.has_break = first.has_break
        self.has_blank = first.has_blank

    def finish(self) -> Item:
        """The item as it is now."""
        return Item(
            _move_notes(self.parts), self.kind, self.notes, tuple(self.tail), self.has_break, self.has_blank
        )


class _Grouper:
    def __init__(self, words: Sequence[Word], starts: Starts) -> None:
        self.words = words
        self.starts = starts

    def read_contents(self, kind: BracketKind, at: int) -> _Contents:
        """What stands from word `at` to the closer of its bracket."""
        drafts: list[_Draft] = []
        opener_tail: list[Note] = []
        pending: tuple[Note, ...] = ()
        is_between = True
        while not self._is_end(at):
            word = self.words[at]
            tail = drafts[-1].tail if drafts else opener_tail
            if word.type in _SEPARATORS:
                pending = _sort_notes(word, tail, pending)
                if kind in {"block", "yields"} and any(map(_is_doc, pending)):
                    # It documents nothing before a separator; before the next statement it would.
                    tail.extend((*pending, Note(word.text, False, False)))
                    pending = ()
                is_between, at = True, at + 1
                continue
            if is_between or (kind in {"block", "yields"} and word.start in self.starts):
                pending = _sort_notes(word, tail, pending)
                drafts.append(_Draft(self._find_kind(kind, at), word, pending))
                is_between, pending, word = False, (), word._replace(notes=())
            at = self._read_part(drafts[-1], word, at)
        closer = self.words[at]
        tail = drafts[-1].tail if drafts else opener_tail
        closer = closer._replace(notes=_sort_notes(closer, tail, pending))
        return _Contents(tuple(draft.finish() for draft in drafts), tuple(opener_tail), closer, at)

    def _is_end(self, at: int) -> bool:
        return self.words[at].type in CLOSERS or self.words[at].type == END

    def _find_kind(self, kind: BracketKind, at: int) -> str:
        if kind not in {"block", "yields"}:
            return ""
        return self.starts.get(self.words[at].start, "header")

    def _read_part(self, draft: _Draft, word: Word, at: int) -> int:
        """Adds the part that begins with `word`, word `at` of the file, and gives the index after it."""
        before = draft.parts[-1] if draft.parts else None
        is_operand = _is_operand(before, draft)
        if word.type == "MINUS" and not is_operand:
            draft.parts.append(word._replace(type=NEGATIVE))
            return at + 1
        if word.type not in OPENERS:
            draft.parts.append(word)
            return at + 1
        kind = self._find_bracket_kind(draft, word.type, is_operand, at)
        contents = self.read_contents(kind, at + 1)
        is_open = bool(contents.items) and self.words[at + 1].has_break
        draft.parts.append(
            Bracket(kind, word, contents.opener_tail, contents.items, contents.closer, is_open)
        )
        return contents.end + 1

    def _find_bracket_kind(self, draft: _Draft, opener: str, is_operand: bool, at: int) -> BracketKind:
        if opener == "LEFT_PAREN":
            return "arguments" if is_operand else "parens"
        if opener == "LEFT_BRACKET":
            return "element" if is_operand else "list"
        if draft.kind == "Use":
            return "use"
        if draft.kind == "YieldsStmt":
            return "yields"
        first, second = self.words[at + 1], self.words[min(at + 2, len(self.words) - 1)]
        return "record" if first.type == "RIGHT_BRACE" or second.type == "COLON" else "block"


def _sort_notes(word: Word, tail: list[Note], pending: tuple[Note, ...]) -> tuple[Note, ...]:
    """Puts comments before a word at the end of the item before it or, given back, before the next one; in order."""
    trailing = [note for note in word.notes if note.is_trailing]
    if trailing:
        tail.extend((*pending, *trailing))
        pending = ()
    return (*pending, *(note for note in word.notes if not note.is_trailing))


def _is_doc(note: Note) -> bool:
    return note.text.startswith("///") and not note.text.startswith("////")


def _is_operand(part: Part | None, draft: _Draft) -> bool:
    """Whether `(`, `[` or `-` after this part continues it."""
    if part is None:
        return False
    if isinstance(part, Bracket):
        return True
    is_word_of_statement = len(draft.parts) == 1 and draft.kind in {"ExpectStmt", "ExampleStmt"}
    return part.type in _OPERANDS and not is_word_of_statement


def _move_notes(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with comments before a sign put after it: signs do not begin lines."""
    moved = list(parts)
    for index, part in enumerate(moved[:-1]):
        following = moved[index + 1]
        if not isinstance(part, Word) or part.type not in SIGNS or not part.notes:
            continue
        notes = following.notes if isinstance(following, Word) else following.opener.notes
        # A kind that begins a line may look like a declaration to the parser.
        is_kind = isinstance(following, Word) and following.type in KINDS
        if is_kind or any(note.is_trailing for note in notes):
            continue
        moved[index] = part._replace(notes=())
        if isinstance(following, Word):
            moved[index + 1] = following._replace(notes=part.notes + notes)
        else:
            opener = following.opener._replace(notes=part.notes + notes)
            moved[index + 1] = following._replace(opener=opener)
    return tuple(moved)
