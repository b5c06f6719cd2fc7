"""The parser of expressions in templates. Precedence is described in `template_syntax`."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import replace
from exgrpo_compiler.template.nodes import (
    Argument,
    Chosen,
    Compared,
    Computed,
    Constant,
    Declassified,
    Field,
    Filtered,
    Joined,
    Listed,
    Logical,
    NameRead,
    Negated,
    Refused,
    Value,
)
from exgrpo_compiler.template.tokens import TemplateError, Token

_MAX_TOKENS = 200
"""Words of one expression."""
_MAX_DEPTH = 16
"""Brackets within brackets."""
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_CONSTANTS = {"true": True, "True": True, "false": False, "False": False}
_WORDS = ("if", "else", "and", "or", "not", "in", "is")


class Refusal(NamedTuple):
    """Something that Jinja has and templates here do not."""

    start: int
    length: int
    message: str
    hint: str | None


class Stream:
    """The words of one tag; the last one is its end."""

    def __init__(self, tokens: Sequence[Token], at: int) -> None:
        self.tokens = tokens
        self.at = at
        if len(tokens) > _MAX_TOKENS:
            first = tokens[0]
            raise TemplateError(
                first.start,
                first.end - first.start,
                f"this expression has more than {_MAX_TOKENS} words; give parts of it names with `set`",
            )

    def peek(self) -> Token:
        """The next word."""
        return self.tokens[self.at]

    def next(self) -> Token:
        """Takes the next word; the end stays."""
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def skip(self, word: str) -> bool:
        """Takes the word if it comes next. A text in quotes is no word."""
        token = self.tokens[self.at]
        if token.kind in ("name", "sign") and token.text == word:
            self.at += 1
            return True
        return False

    def take_word(self, word: str) -> Token:
        """Takes this word.

        Raises:
            TemplateError: another one comes next.
        """
        token = self.peek()
        if not self.skip(word):
            raise self.report(f"`{word}`")
        return token

    def take_name(self, what: str) -> Token:
        """Takes a name; `what` says which is due."""
        token = self.peek()
        if token.kind != "name":
            raise self.report(what)
        return self.next()

    def take_target(self, word: str) -> Token:
        """Takes the plain name that `for` or `set` gives a value to."""
        token = self.take_name(f"a name for `{word}`")
        if token.text in _CONSTANTS or token.text in (*_WORDS, "none", "None", "loop", "self", "declassify"):
            raise TemplateError(
                token.start, token.end - token.start, f"`{token.text}` cannot be given a value"
            )
        if self.peek().text in (",", "."):
            found = self.peek()
            raise TemplateError(found.start, 1, f"`{word}` gives a value to one plain name")
        return token

    def finish(self) -> None:
        """Raises TemplateError unless the end comes next."""
        token = self.peek()
        if token.kind != "end":
            raise self.report(f"`{self.tokens[-1].text.lstrip('-+')}`")

    def report(self, due: str) -> TemplateError:
        """What to raise where something else is due."""
        token = self.peek()
        return TemplateError(
            token.start,
            token.end - token.start,
            f"{due} is due here, not `{token.text.lstrip('-+') or token.text}`",
        )


class ValueParser:
    """Reads expressions from one stream; what templates do not have is added to `refusals`."""

    def __init__(self, stream: Stream, refusals: list[Refusal]) -> None:
        self.stream = stream
        self.refusals = refusals
        self.depth = 0

    def read_tuple(self, *, takes_condition: bool = True) -> Value:
        """A value, or several with commas between them, which are a list."""
        read = self.read_value if takes_condition else self._read_or
        first = read()
        if self.stream.peek().text != ",":
            return first
        items = [first]
        while self.stream.skip(","):
            if self.stream.peek().text in (")", "="):
                break
            if self.stream.peek().kind == "end":
                break
            items.append(read())
        return Listed(tuple(items), first.start, items[-1].end)

    def read_value(self) -> Value:
        """An expression."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            token = self.stream.peek()
            length = token.end - token.start
            raise TemplateError(token.start, length, f"brackets nest more than {_MAX_DEPTH} deep")
        value = self._read_or()
        while self.stream.skip("if"):
            test = self._read_or()
            if not self.stream.skip("else"):
                message = (
                    "An `if` inside an expression needs its `else`: where the test fails there is no value."
                )
                self._refuse(value.start, test.end, message, 'write {{ x if test else "" }}')
                value = Refused((value, test), value.start, test.end)
                break
            otherwise = self.read_value()
            value = Chosen(test, value, otherwise, value.start, otherwise.end)
        self.depth -= 1
        return value

    def _refuse(self, start: int, end: int, message: str, hint: str | None = None) -> None:
        self.refusals.append(Refusal(start, end - start, message, hint))

    def _read_or(self) -> Value:
        left = self._read_and()
        while self.stream.skip("or"):
            right = self._read_and()
            left = Logical(left, right, left.start, right.end)
        return left

    def _read_and(self) -> Value:
        left = self._read_not()
        while self.stream.skip("and"):
            right = self._read_not()
            left = Logical(left, right, left.start, right.end)
        return left

    def _read_not(self) -> Value:
        start = self.stream.peek().start
        if self.stream.skip("not"):
            value = self._read_not()
            return Negated(value, start, value.end)
        return self._read_compare()

    def _read_compare(self) -> Value:
        first = self._read_sum()
        operands, signs = [first], []
        while True:
            token = self.stream.peek()
            if token.kind == "sign" and token.text in _COMPARISONS:
                self.stream.next()
                signs.append(token.text)
            elif self.stream.skip("in"):
                signs.append("in")
            elif token.text == "not" and self._follows("in"):
                self.stream.next()
                self.stream.next()
                signs.append("notin")
            else:
                break
            operands.append(self._read_sum())
        if not signs:
            return first
        return Compared(tuple(operands), tuple(signs), first.start, operands[-1].end)

    def _follows(self, word: str) -> bool:
        tokens, at = self.stream.tokens, self.stream.at
        return tokens[at].kind == "name" and at + 1 < len(tokens) and tokens[at + 1].text == word

    def _read_sum(self) -> Value:
        left = self._read_joined()
        while (sign := self.stream.peek().text) in ("+", "-") and self.stream.skip(sign):
            right = self._read_joined()
            left = Computed(sign, left, right, left.start, right.end)
        return left

    def _read_joined(self) -> Value:
        items = [self._read_product()]
        while self.stream.skip("~"):
            items.append(self._read_product())
        if len(items) == 1:
            return items[0]
        return Joined(tuple(items), items[0].start, items[-1].end)

    def _read_product(self) -> Value:
        left = self._read_power()
        while (sign := self.stream.peek().text) in ("*", "/", "//", "%") and self.stream.skip(sign):
            right = self._read_power()
            if sign in ("//", "%"):
                self._refuse(left.start, right.end, f"`{sign}` is no part of a template.")
                left = Refused((left, right), left.start, right.end)
            else:
                left = Computed(sign, left, right, left.start, right.end)
        return left

    def _read_power(self) -> Value:
        left = self._read_signed()
        while self.stream.skip("**"):
            right = self._read_signed()
            self._refuse(left.start, right.end, "A power is no part of a template.")
            left = Refused((left, right), left.start, right.end)
        return left

    def _read_signed(self, *, takes_filter: bool = True) -> Value:
        token = self.stream.peek()
        value: Value
        if token.kind == "sign" and token.text in ("-", "+"):
            self.stream.next()
            inner = self._read_signed(takes_filter=False)
            value = Computed(token.text, None, inner, token.start, inner.end)
        else:
            value = self._read_primary()
        value = self._read_postfix(value)
        return self._read_filters(value) if takes_filter else value

    # --- primaries -------------------------------------------------------------------------------------

    def _read_primary(self) -> Value:
        token = self.stream.peek()
        if token.kind == "name":
            return self._read_word(token)
        if token.kind == "string":
            return self._read_text()
        if token.kind in ("int", "float"):
            self.stream.next()
            plain = token.text.replace("_", "")
            number = int(plain, 0) if token.kind == "int" else float(plain)
            return Constant(number, token.start, token.end)
        if token.text == "(":
            self.stream.next()
            if self.stream.peek().text == ")":
                return Listed((), token.start, self.stream.next().end)
            inner = self.read_tuple()
            closing = self.stream.take_word(")")
            if isinstance(inner, NameRead | Field | Constant):
                return inner  # the place of a name is the name, without what stands around it
            return replace(inner, start=token.start, end=closing.end)
        if token.text == "[":
            return self._read_list(token)
        if token.text == "{":
            raise TemplateError(token.start, 1, "a dictionary is no part of a template")
        raise self.stream.report("a value")

    def _read_word(self, token: Token) -> Value:
        if token.text in _WORDS:
            raise self.stream.report("a value")
        self.stream.next()
        if token.text in _CONSTANTS:
            return Constant(_CONSTANTS[token.text], token.start, token.end)
        if token.text in ("none", "None"):
            self._refuse(token.start, token.end, "Templates have no `none`: every value is there.")
            return Refused((), token.start, token.end)
        if token.text == "declassify" and self.stream.peek().text == "(":
            arguments, end = self._read_arguments()
            return Declassified(arguments, token.start, end)
        return NameRead(token.text, token.start, token.end)

    def _read_text(self) -> Value:
        first = self.stream.peek()
        parts: list[str] = []
        end = first.end
        while (token := self.stream.peek()).kind == "string":
            self.stream.next()
            end = token.end
            plain = token.text[1:-1]
            if "\\" in plain:
                try:
                    plain = plain.encode("ascii", "backslashreplace").decode("unicode-escape")
                except UnicodeDecodeError as error:
                    raise TemplateError(
                        token.start, token.end - token.start, "this text has a broken escape"
                    ) from error
            parts.append(plain)
        return Constant("".join(parts), first.start, end)

    def _read_list(self, opening: Token) -> Value:
        self.stream.next()
        items: list[Value] = []
        while self.stream.peek().text != "]":
            if items:
                self.stream.take_word(",")
                if self.stream.peek().text == "]":
                    break
            items.append(self.read_value())
        return Listed(tuple(items), opening.start, self.stream.take_word("]").end)

    # --- what follows a primary ------------------------------------------------------------------------

    def _read_postfix(self, value: Value) -> Value:
        while True:
            token = self.stream.peek()
            if token.kind != "sign" or token.text not in (".", "[", "("):
                return value
            if token.text == ".":
                self.stream.next()
                if self.stream.peek().kind == "int":
                    index = self.stream.next()
                    self._refuse_index(value, value.start, index.end)
                    value = Refused((value,), value.start, index.end)
                    continue
                name = self.stream.take_name("the name of a field")
                value = Field(value, name.text, name.start, value.start, name.end)
            elif token.text == "[":
                value = self._read_subscript(value)
            else:
                value = self._refuse_call(value)

    def _refuse_index(self, value: Value, start: int, end: int) -> None:
        self._refuse(
            start,
            end,
            "In brackets stands the name of a field in quotes; a list may be shorter than an index.",
            "take `x | first` or `x | last`, or loop with `for`",
        )

    def _read_subscript(self, value: Value) -> Value:
        self.stream.next()
        parts: list[Value] = []
        is_slice = False
        while self.stream.peek().text != "]":
            if self.stream.skip(":") or self.stream.skip(","):
                is_slice = True
                continue
            parts.append(self.read_value())
        end = self.stream.take_word("]").end
        if not parts and not is_slice:
            raise TemplateError(end - 1, 1, "the name of a field is due here, not `]`")
        key = parts[0] if len(parts) == 1 and not is_slice else None
        if isinstance(key, Constant) and isinstance(key.value, str):
            return Field(value, key.value, key.start + 1, value.start, end)
        if is_slice:
            self._refuse(value.start, end, "A slice is no part of a template.")
        else:
            self._refuse_index(value, value.start, end)
        return Refused((value, *parts), value.start, end)

    def _read_filters(self, value: Value) -> Value:
        while True:
            token = self.stream.peek()
            if token.kind == "sign" and token.text == "|":
                self.stream.next()
                name = self.stream.take_name("the name of a filter")
                arguments: tuple[Argument, ...] = ()
                end = name.end
                if self.stream.peek().text == "(":
                    arguments, end = self._read_arguments()
                if name.text == "declassify":
                    given = Argument("", value, value.start, value.end)
                    value = Declassified((given, *arguments), value.start, end)
                else:
                    value = Filtered(value, name.text, name.start, arguments, value.start, end)
            elif token.kind == "name" and token.text == "is":
                value = self._refuse_test(value)
            elif token.kind == "sign" and token.text == "(":
                value = self._refuse_call(value)
            else:
                return value

    def _refuse_call(self, value: Value) -> Value:
        arguments, end = self._read_arguments()
        hint = "filters do such work: {{ x | strip }}"
        self._refuse(value.start, end, "A call is no part of a template.", hint)
        receiver = (
            (value.value,) if isinstance(value, Field) else () if isinstance(value, NameRead) else (value,)
        )
        return Refused((*receiver, *(argument.value for argument in arguments)), value.start, end)

    def _refuse_test(self, value: Value) -> Value:
        self.stream.next()
        self.stream.skip("not")
        end = self.stream.take_name("the name of a test").end
        hint = "every value is there; compare with `==`, or write `if x`"
        if self.stream.peek().text == "(":
            end = self._read_arguments()[1]
        self._refuse(value.start, end, "An `is` test is no part of a template.", hint)
        return Refused((value,), value.start, end)

    def _read_arguments(self) -> tuple[tuple[Argument, ...], int]:
        self.stream.take_word("(")
        arguments: list[Argument] = []
        while self.stream.peek().text != ")":
            if arguments:
                self.stream.take_word(",")
                if self.stream.peek().text == ")":
                    break
            token = self.stream.peek()
            if token.text in ("*", "**"):
                raise self.stream.report("an argument")
            name = ""
            if token.kind == "name" and self._is_named():
                name = self.stream.next().text
                self.stream.next()
            if name == "" and arguments and arguments[-1].name:
                raise self.stream.report("an argument with its name, as those before it,")
            value = self.read_value()
            arguments.append(Argument(name, value, token.start, value.end))
        return tuple(arguments), self.stream.take_word(")").end

    def _is_named(self) -> bool:
        tokens, at = self.stream.tokens, self.stream.at
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if following is not None and following.kind == "sign" and following.text == ":":
            name = tokens[at].text
            raise TemplateError(
                following.start, 1, f"in a template an argument is named with `=`: `{name}=…`"
            )
        return following is not None and following.kind == "sign" and following.text == "="
