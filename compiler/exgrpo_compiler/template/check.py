"""The types of a template: every name, attribute, filter and operator, so that what passes here renders.

Nothing is undefined at run time: names are known, fields are there, an inline `if` has its `else`, an index into a list is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.builtins import LOOP_TYPE
from exgrpo_compiler.diagnostics import find_closest, suggest_name
from exgrpo_compiler.problems import list_names, start_sentence
from exgrpo_compiler.template.findings import Finding, Remedy, Replacement, suggest_word
from exgrpo_compiler.template.nodes import (
    Assigned,
    Chosen,
    Compared,
    Computed,
    Constant,
    Data,
    Decided,
    Declassified,
    Field,
    Filtered,
    Joined,
    Listed,
    Logical,
    Looped,
    NameRead,
    Negated,
    Printed,
    Refused,
    Statement,
    Value,
)
from exgrpo_compiler.template.words import ARGUMENT_HINT, LATEX_HINT, find_argument, find_latex
from exgrpo_compiler.value_types import ANY, BOOL, INT, NUMBER, TEXT, Type, join_types, list_of, name_type


class Meaning(NamedTuple):
    """What a name stands for: its type, and where it may have got its value (a parameter: nowhere)."""

    type: Type
    places: frozenset[int] = frozenset()


Scope = dict[str, Meaning]


class _Form(NamedTuple):
    """A name that only the other way of asking gives a teacher's prompt."""

    given: str
    """What this way gives instead."""
    message: str
    hint: str


_OTHER_FORM = {
    "rule": _Form(
        "rules",
        "`ask = together` asks by all rules at once, so the prompt has a list `rules`",
        "write {% for rule in rules %}{{ rule.instruction }}{% endfor %}, or remove `ask = together`",
    ),
    "rules": _Form(
        "rule",
        "Each rule is asked by itself, so the prompt has one `rule`",
        "write {{ rule.instruction }}, or put `ask = together` into the block",
    ),
}


class TemplateChecker:
    """Walks one template. `findings` are its mistakes, `used` the parameters that it reads."""

    def __init__(self, text: str, names: Mapping[str, Type]) -> None:
        self.text = text
        self.names = names
        self.findings: list[Finding] = []
        self._used: set[str] = set()
        self._bound: dict[int, tuple[str, str, bool]] = {}
        """Place -> name, the word that bound it, and whether a loop's `set` hides a name from outside of the loop."""
        self._outer: Scope = {}
        """Names outside of the loop at hand."""
        self._read: set[int] = set()

    @property
    def used(self) -> frozenset[str]:
        """Names of parameters that are read."""
        return frozenset(self._used)

    def check(self, body: Sequence[Statement]) -> None:
        """Checks a whole template."""
        self._check_body(body, {name: Meaning(type_) for name, type_ in self.names.items()})
        if any(not finding.is_warning for finding in self.findings):
            return
        for place, (name, word, is_shadow) in sorted(self._bound.items()):
            if place not in self._read and not name.startswith("_"):
                hint = f"use it, or call it `_{name}`" if word == "for" else "remove it, or use it"
                if is_shadow:
                    hint = "a `set` inside of a loop ends with its round; `loop.index` counts the rounds"
                message = f"`{name}` is given a value by `{word}` and is never used."
                self.findings.append(
                    Finding("unused-parameter", place, len(name), message, hint, is_warning=True)
                )

    def report(self, id_: str, start: int, length: int, message: str, hint: str | None = None) -> None:
        """Adds a mistake."""
        self.findings.append(Finding(id_, start, length, message, hint))

    def report_at(self, id_: str, node: Value, message: str, hint: str | None = None) -> None:
        """Adds a mistake about a whole value."""
        self.report(id_, node.start, node.end - node.start, message, hint)

    # --- statements ------------------------------------------------------------------------------------

    def _check_body(self, body: Sequence[Statement], scope: Scope) -> None:
        for statement in body:
            match statement:
                case Data():
                    pass
                case Printed():
                    self._check_printed(statement.value, scope)
                case Assigned():
                    self._check_set(statement, scope)
                case Decided():
                    self._check_decided(statement, scope)
                case Looped():
                    self._check_loop(statement, scope)

    def _check_set(self, node: Assigned, scope: Scope) -> None:
        type_ = self.check_value(node.value, scope)
        self._bound[node.at] = (node.name, "set", node.name in self._outer)
        scope[node.name] = Meaning(type_ or ANY, frozenset((node.at,)))

    def _check_decided(self, node: Decided, scope: Scope) -> None:
        scopes: list[Scope] = []
        for branch in node.branches:
            self.check_condition(branch.test, scope)
            scopes.append(dict(scope))
            self._check_body(branch.body, scopes[-1])
        scopes.append(dict(scope))
        self._check_body(node.otherwise or (), scopes[-1])
        for name in dict.fromkeys(name for inner in scopes for name in inner):
            found = [inner[name] for inner in scopes if name in inner]
            if len(found) == len(scopes) and any(meaning != scope.get(name) for meaning in found):
                scope[name] = self._merge(name, found)

    def _merge(self, name: str, found: Sequence[Meaning]) -> Meaning:
        """What a name stands for after an `if` that gave it values."""
        type_, places = found[0]
        for meaning in found[1:]:
            joined = join_types(type_, meaning.type)
            if joined is None:
                place = max(meaning.places | places)
                one, other = name_type(type_), name_type(meaning.type)
                self.report(
                    "type-mismatch",
                    place,
                    len(name),
                    f"`{name}` is {one} in one case and {other} in the other.",
                )
                joined = ANY
            type_, places = joined, places | meaning.places
        return Meaning(type_, places)

    def _check_loop(self, node: Looped, scope: Scope) -> None:
        sequence = self.check_value(node.items, scope)
        element = ANY
        if sequence is not None and sequence.kind not in ("list", "any"):
            self.report_at(
                "type-mismatch", node.items, f"A template loops over a list; this is {name_type(sequence)}."
            )
        elif sequence is not None:
            element = sequence.element or ANY
        self._bound[node.at] = (node.name, "for", False)
        inner = {**scope, node.name: Meaning(element, frozenset((node.at,)))}
        if node.test is not None:
            self.check_condition(node.test, {name: inner[name] for name in inner if name != "loop"})
        outer, self._outer = self._outer, scope
        self._check_body(node.body, {**inner, "loop": Meaning(LOOP_TYPE)})
        self._outer = outer
        self._check_body(node.otherwise, dict(scope))

    def _check_printed(self, node: Value, scope: Scope) -> None:
        if isinstance(node, Constant) and (latex := find_latex(self.text, node.start)) is not None:
            from exgrpo_compiler.templates import wrap_latex

            length = node.end - node.start
            message = "This prints a constant where LaTeX has braces of its own, which are lost."
            remedy = wrap_latex(self.text, latex)
            self.findings.append(
                Finding("template-construct", node.start, length, message, LATEX_HINT, remedy)
            )
            return
        if self._verify_printable(node, self.check_value(node, scope)):
            self._warn_latex(node)

    def _warn_latex(self, node: Value) -> None:
        opening = find_argument(self.text, node.start)
        closing = self.text.find("}}", node.end)
        if opening is None or closing < 0:
            return
        message = "This prints a value where LaTeX has the braces of an argument, which are lost."
        edits = (Replacement(opening, 0, "{ "), Replacement(closing + 2, 0, " }"))
        remedy = Remedy("put LaTeX's braces around it", edits)
        length = closing + 2 - opening
        self.findings.append(
            Finding("latex-braces", opening, length, message, ARGUMENT_HINT, remedy, is_warning=True)
        )

    def _verify_printable(self, node: Value, type_: Type | None) -> bool:
        if type_ is None:
            return False
        if type_.kind == "record":
            hint = list_names(type_.field_names, "it has")
            self.report_at(
                "type-mismatch", node, f"This prints {type_.title} as a whole; name a field of it.", hint
            )
        elif type_.kind == "list":
            self.report_at("type-mismatch", node, "This prints a list as a whole; loop over it with `for`.")
        return type_.kind not in ("record", "list")

    # --- expressions -----------------------------------------------------------------------------------

    def check_value(self, node: Value, scope: Scope) -> Type | None:
        """The value's type, or None where a mistake in it was reported."""
        match node:
            case NameRead():
                return self._check_name(node, scope)
            case Field():
                return self._check_field(node, scope)
            case Filtered():
                from exgrpo_compiler.template.filters import (
                    check_filter,  # here: most templates filter nothing
                )

                return self._verify_possible(node, check_filter(self, node, scope))
            case Declassified():
                from exgrpo_compiler.template.filters import check_declassify

                return check_declassify(self, node, scope)
            case Constant():
                return _get_constant_type(node.value)
            case Listed():
                types = [self.check_value(item, scope) for item in node.items]
                return None if any(item is None for item in types) else list_of(_join_all(types))
            case Chosen():
                self.check_condition(node.test, scope)
                return self._check_either(node, node.then, node.otherwise, scope)
            case Logical():
                return self._check_either(node, node.left, node.right, scope)
            case Negated():
                return BOOL if self.check_condition(node.value, scope) else None
            case Compared():
                return self._check_compared(node, scope)
            case Computed():
                return self._verify_possible(node, self._check_computed(node, scope))
            case Joined():
                types = [self.check_value(item, scope) for item in node.items]
                is_fine = [
                    self._verify_printable(item, type_) for item, type_ in zip(node.items, types, strict=True)
                ]
                return TEXT if all(is_fine) else None
            case Refused():
                for part in node.parts:
                    self.check_value(part, scope)
                return None

    def _verify_possible(self, node: Computed | Filtered, type_: Type | None) -> Type | None:
        """The type, or None where literals alone make the operation fail."""
        operand = node.right if isinstance(node, Computed) else node.value
        if type_ is None or isinstance(operand, NameRead | Field):
            return type_
        from exgrpo_compiler.template.certain import find_certain_failure  # here: few templates compute

        failure = find_certain_failure(node)
        if failure is None:
            return type_
        self.findings.append(failure)
        return None

    def check_condition(self, node: Value, scope: Scope) -> bool:
        """Whether the value can decide something; a text or a list does by being empty or not."""
        if isinstance(node, Logical):
            sides = [self.check_condition(side, scope) for side in (node.left, node.right)]
            return all(sides)
        if isinstance(node, Negated):
            return self.check_condition(node.value, scope)
        type_ = self.check_value(node, scope)
        if type_ is not None and type_.kind == "record":
            message = f"A condition is due here; this is {name_type(type_)}, which is always there."
            self.report_at("type-mismatch", node, message, list_names(type_.field_names, "it has"))
            return False
        return type_ is not None

    def _check_either(self, node: Value, left: Value, right: Value, scope: Scope) -> Type | None:
        types = self.check_value(left, scope), self.check_value(right, scope)
        if types[0] is None or types[1] is None:
            return None
        joined = join_types(types[0], types[1])
        if joined is None:
            message = f"This is {name_type(types[0])} in one case and {name_type(types[1])} in the other."
            self.report_at("type-mismatch", node, message)
        return joined

    def _check_name(self, node: NameRead, scope: Scope) -> Type | None:
        meaning = scope.get(node.name)
        if meaning is not None:
            if not meaning.places and node.name in self.names:
                self._used.add(node.name)
            self._read |= meaning.places
            return meaning.type
        latex = find_latex(self.text, node.start)
        hint = suggest_name(node.name, scope) or list_names(scope, "it sees") or "it has no parameters"
        remedy = suggest_word(node.start, node.name, scope)
        message = f"There is no `{node.name}`"
        other = _OTHER_FORM.get(node.name)
        if other is not None and other.given in self.names:
            message, hint, remedy = f"{other.message}: there is no `{node.name}`", other.hint, None
        if any(name == node.name for name, _, _ in self._bound.values()):
            hint = f"`{node.name}` is given a value in one branch or loop only; give it one before that"
            remedy = None
        if latex is not None:
            from exgrpo_compiler.templates import wrap_latex

            hint, remedy = LATEX_HINT, wrap_latex(self.text, latex)
        self.findings.append(
            Finding(
                "unknown-name",
                node.start,
                node.end - node.start,
                message,
                hint,
                remedy,
                is_placed=True,
            )
        )
        return None

    def _check_field(self, node: Field, scope: Scope) -> Type | None:
        base = self.check_value(node.value, scope)
        if base is None or base.kind == "any":
            return base
        length = len(node.name)
        if base.kind != "record":
            message = f"{start_sentence(name_type(base))} has no `{node.name}`."
            self.report("unknown-field", node.at, length, message)
            return None
        type_ = base.get_field(node.name)
        if type_ is None:
            hint = suggest_name(node.name, base.field_names) or list_names(base.field_names, "its fields are")
            message = f"{start_sentence(base.title)} has no field `{node.name}`."
            remedy = suggest_word(node.at, node.name, base.field_names)
            self.findings.append(Finding("unknown-field", node.at, length, message, hint, remedy))
        return type_

    def _check_compared(self, node: Compared, scope: Scope) -> Type | None:
        types = [self.check_value(operand, scope) for operand in node.operands]
        is_fine = True
        for index, sign in enumerate(node.signs):
            left, right = types[index], types[index + 1]
            if left is None or right is None:
                is_fine = False
                continue
            message = _describe_comparison(sign, left, right)
            if message is not None:
                start, end = node.operands[index].start, node.operands[index + 1].end
                self.report("type-mismatch", start, end - start, message)
                is_fine = False
            elif sign in ("==", "!="):
                is_option = self._verify_option(left, node.operands[index + 1])
                is_fine = self._verify_option(right, node.operands[index]) and is_option and is_fine
        return BOOL if is_fine else None

    def _verify_option(self, type_: Type, other: Value) -> bool:
        """Reports a text that a choice is compared with and can never be."""
        if type_.kind != "choice" or not isinstance(other, Constant) or other.value in type_.options:
            return True
        if not isinstance(other.value, str):
            return True
        hint = suggest_name(other.value, type_.options) or list_names(type_.options, "the options are")
        closest = find_closest(other.value, type_.options)
        edit = Replacement(other.start, other.end - other.start, f"'{closest}'")
        remedy = Remedy(f"write `{closest}`", (edit,)) if closest is not None else None
        self.findings.append(
            Finding(
                "unknown-option",
                other.start,
                other.end - other.start,
                f"There is no option `{other.value}`.",
                hint,
                remedy,
            )
        )
        return False

    def _check_computed(self, node: Computed, scope: Scope) -> Type | None:
        operands = [node.right] if node.left is None else [node.left, node.right]
        types = [self.check_value(operand, scope) for operand in operands]
        if any(type_ is None for type_ in types):
            return None
        known = [type_ for type_ in types if type_ is not None]
        if node.sign == "+" and node.left is not None:
            if all(type_.kind in ("text", "choice") for type_ in known):
                return TEXT
            if not all(type_.is_number for type_ in known):
                message = "`+` joins two texts, or adds two numbers; `~` joins anything."
                self.report_at("type-mismatch", node, message)
                return None
            return _get_sum_type(node.sign, known)
        for operand, type_ in zip(operands, known, strict=True):
            if not type_.is_number:
                self.report_at("type-mismatch", operand, f"A number is due here; this is {name_type(type_)}.")
                return None
        return _get_sum_type(node.sign, known)


def _get_sum_type(sign: str, types: Sequence[Type]) -> Type:
    return INT if sign != "/" and all(type_.kind == "int" for type_ in types) else NUMBER


def _get_constant_type(value: str | int | float | bool) -> Type:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, str):
        return TEXT
    return INT if isinstance(value, int) else NUMBER


def _join_all(types: Sequence[Type | None]) -> Type:
    joined: Type | None = None
    for type_ in types:
        if type_ is not None:
            joined = type_ if joined is None else (join_types(joined, type_) or ANY)
    return joined or ANY


def _describe_comparison(sign: str, left: Type, right: Type) -> str | None:
    """What is wrong with a comparison, or None."""
    if sign in ("in", "notin"):
        if right.kind in ("text", "choice") and left.is_text:
            return None
        if right.kind == "any" or (
            right.kind == "list" and join_types(left, right.element or ANY) is not None
        ):
            return None
        return f"`in` looks for a part of a text or an element of a list; this is {name_type(right)}."
    if sign in ("==", "!="):
        if join_types(left, right) is not None and left.kind not in ("list", "record"):
            return None
    elif (left.is_number and right.is_number) or (left.is_text and right.is_text):
        return None
    return f"{start_sentence(name_type(left))} and {name_type(right)} cannot be compared."
