"""Random specs from the grammar: texts without syntax errors, in every form, laid out in any way, with comments anywhere.

A spec is drawn as words first; `lay_out` then draws what stands between them. Nothing here knows what a spec means: names are
not declared, and settings are not those of their declaration.
"""

from __future__ import annotations

from hypothesis import strategies as st

Words = tuple[str, ...]

KINDS = ("rule", "model", "test")
OPENERS, CLOSERS = "({[", ")}]"

NAMES = (
    "a",
    "b2",
    "item",
    "gold",
    "tutor",
    "rule",
    "model",
    "test",
    "on_failure",
    "a_rather_long_name_of_a_term",
)
NUMBERS = ("0", "1", "2.5", "1_000", "1e-6", "512tok", "20%", "40usd", "30s", "16GiB")
STRINGS = (
    '""',
    '"text"',
    '"a {{ b }} // no comment"',
    r'"quote \" and \\"',
    "`\\(?([A-D])\\)?`",
    '"' + "long " * 12 + '"',
    '"""one line"""',
    '"""\n    {{ item.question }}\n\n      // no comment  \n    """',
    '"""\n\tTabs\n\tand `ticks` "quotes"\n\t"""',
)
GAPS = (" ", " ", " ", " ", "\n", "\n    ", "\n\n", "\n\n\n  ", "\t", " \r\n")
COMMENTS = (
    " // note\n",
    "\n// note  \n",
    "\n\n  // one\n\n\n  // two\n\n",
    " //\n",
    "\n/// doc\n",
    " /// trailing doc\n",
    "\n  /// first line\n  /// second\n",
    " // left\n // below\n",
    "\n// allow: unused-rule -- reason\n",
    "//tight\n",
)


START = ""
"""Stands before each declaration."""


PLAIN_COMMENTS = tuple(comment for comment in COMMENTS if "///" not in comment)
"""Those that document nothing."""


def join(*parts: str | Words) -> Words:
    """Words and groups of words in order."""
    return tuple(word for part in parts for word in ((part,) if isinstance(part, str) else part))


def separated(items: list[Words], separator: str) -> Words:
    """Items with a separator between each two."""
    return join(*(join(separator, item) if index else item for index, item in enumerate(items)))


names = st.sampled_from(NAMES)
titles = st.sampled_from(("numbers", "first_one", "x"))
"""Names of declarations: a kind at the start of a line would begin one of its own."""
numbers = st.sampled_from(NUMBERS)
texts = st.sampled_from(STRINGS)
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: separated([(part,) for part in parts], "."))
operators = st.sampled_from(
    ("+", "-", "*", "/", "|", "==", "!=", "<", "<=", ">", ">=", "and", "or", "else", "..")
)
atoms: st.SearchStrategy[Words] = st.one_of(
    paths, numbers.map(join), texts.map(join), st.sampled_from((("true",), ("false",)))
)


def draw_binary(left: Words, operator: str, right: Words) -> Words:
    """An operator between operands that need no parentheses; a pipe goes to a name."""
    if operator == "|":
        return join("(", left, ")", "|", "strip", "(", right, ")")
    return join("(", left, ")", operator, "(", right, ")")


def extend(inner: st.SearchStrategy[Words]) -> st.SearchStrategy[Words]:
    """One more level of an expression."""
    items = st.lists(inner, max_size=5)
    entries = st.lists(st.builds(lambda name, value: join(name, ":", value), names, inner), max_size=4)
    arguments = st.lists(
        st.one_of(inner, st.builds(lambda name, value: join(name, ":", value), names, inner)), max_size=5
    )
    commas = st.sampled_from(((), (",",)))
    return st.one_of(
        st.builds(draw_binary, inner, operators, inner),
        st.builds(
            lambda a, op, b: join(a, op, b), atoms, st.sampled_from(("+", "-", "*", "and", "<")), atoms
        ),
        st.builds(lambda a, c, b: join("(", a, ")", "if", "(", c, ")", "else", b), inner, inner, inner),
        st.builds(lambda a: join("-", a), atoms),
        st.builds(lambda a: join("(", "not", a, ")"), atoms),
        st.builds(lambda path, a: join(path, "(", separated(a, ","), ")"), paths, arguments),
        st.builds(lambda a, b: join("mean", "(", a, "where", b, ")"), atoms, atoms),
        st.builds(lambda a, b: join("mean", "(", a, "where", b, "else", "0", ")"), atoms, atoms),
        st.builds(lambda a, comma: join("[", separated(a, ","), comma if a else (), "]"), items, commas),
        st.builds(lambda a, comma: join("{", separated(a, ","), comma if a else (), "}"), entries, commas),
        st.builds(lambda tag, name, a: join(tag, "{", name, ":", a, "}"), names, names, inner),
        st.builds(
            lambda tag, a: join(tag, "{", separated([join("x", "=", b) for b in a], ";"), "}"), paths, items
        ),
    )


expressions: st.SearchStrategy[Words] = st.recursive(atoms, extend, max_leaves=8)
types: st.SearchStrategy[Words] = st.one_of(
    st.sampled_from((("text",), ("number",), ("number", ".", "last"), ("list", "[", "text", "]"))),
    st.builds(
        lambda a: join("choice", "(", separated([(text,) for text in a], ","), ")"),
        st.lists(texts, min_size=1, max_size=3),
    ),
)


def build_statements(nested: st.SearchStrategy[Words]) -> st.SearchStrategy[Words]:
    """One statement of any form; `nested` are the blocks that may stand in it."""
    optional = st.sampled_from(((), ("secret",)))
    fields = st.lists(
        st.builds(
            lambda is_open, name, t: join(is_open, name, ":", t),
            st.sampled_from(((), ("open",))),
            names,
            types,
        ),
        max_size=3,
    )
    return st.one_of(
        st.builds(lambda name, a: join(name, "=", a), names, expressions),
        st.builds(lambda name, a: join(name, "=", a), names, expressions),
        st.builds(lambda s, name, t: join(s, "field", name, ":", t), optional, names, types),
        st.builds(lambda s, name, t, a: join(s, "field", name, ":", t, "=", a), optional, names, types, expressions),
        st.builds(lambda k, name, a: join(k, name, "=", a), st.sampled_from(("split", "scenario", "stage")), names, expressions),
        st.builds(lambda s, name, a: join("keep", s, name, "where", a), names, st.sampled_from(((), ("named",))), expressions),
        st.builds(lambda f, sep: join("yields", "{", separated(f, sep), "}"), fields, st.sampled_from((",", ";"))),
        st.builds(lambda a: join("user", "=", a), expressions),
        st.builds(lambda name, t, a: join("assistant", name, t, a), names,
                  st.one_of(st.just(()), types.map(lambda t: join(":", t))),
                  st.one_of(st.just(()), expressions.map(lambda a: join("=", a)))),
        st.builds(lambda name, a, b: join("for", name, "in", a, "(", b, ")", nested_block(())), names, paths, atoms),
        st.builds(lambda name, a, b: join("for", name, "in", a, b), names, paths, nested),
        st.builds(lambda a, b: join("example", a, "->", b), atoms, atoms),
        st.builds(lambda a: join("expect", a), expressions),
        st.builds(lambda a, b: join("expect", a, "==", b), paths, atoms),
        st.builds(lambda name, label, b: join(name, label, b), st.sampled_from(("lora", "price", "limits")), st.just(()), nested),
        st.builds(lambda name, b: join("variant", name, b), names, nested),
        st.builds(lambda name: join("drop", "stage", name), names),
    )  # fmt: skip


def nested_block(statements: Words) -> Words:
    """Braces around statements."""
    return join("{", statements, "}")


def build_blocks(inner: st.SearchStrategy[Words]) -> st.SearchStrategy[Words]:
    """Braces around statements, some with `;` after them."""
    ended = st.builds(join, build_statements(inner), st.sampled_from(((), (";",), (";", ";"))))
    return st.lists(ended, max_size=5).map(lambda all_: nested_block(join(*all_)))


blocks: st.SearchStrategy[Words] = st.recursive(st.just(("{", "}")), build_blocks, max_leaves=3)
_params = st.lists(
    st.builds(lambda s, name, t: join(s, name, ":", t), st.sampled_from(((), ("secret",))), names, types),
    max_size=3,
).map(lambda all_: join("(", separated(all_, ","), ")"))
_ranges = st.sampled_from(((), ("->", "0", "..", "1.5"), ("->", "-", "1", "..", "(", "a", "+", "b", ")")))
declarations: st.SearchStrategy[Words] = st.one_of(
    st.builds(lambda name, a: join("const", name, "=", a), titles, expressions),
    st.builds(lambda name, a: join("model", name, "=", a), titles, expressions),
    st.builds(
        lambda k, name, b: join(k, name, b), st.sampled_from(("dataset", "rubric", "task")), titles, blocks
    ),
    st.builds(
        lambda k, name, p, b: join(k, name, p, b),
        st.sampled_from(("rule", "probes", "dialogue")),
        titles,
        _params,
        blocks,
    ),
    st.builds(lambda name, t, b: join("answer", name, ":", t, b), titles, types, blocks),
    st.builds(lambda name, p, r, b: join("reward", name, p, r, b), titles, _params, _ranges, blocks),
    st.builds(lambda b: join("test", '"a title"', b), blocks),
    st.builds(lambda name, b: join("study", name, "of", "base", b), titles, blocks),
)
imports: st.SearchStrategy[Words] = st.one_of(
    st.builds(
        lambda path, items: join("use", path, ".", "{", separated(items, ","), "}"),
        paths,
        st.lists(
            st.sampled_from((("why",), ("contrast", "as", "differs"), ("process",))), min_size=1, max_size=12
        ),
    ),
    st.just(join("use", "std", ".", "rules", "as", "r")),
    st.just(join("use", '"./shared.exg"', ".", "{", "limit", "}")),
)
words: st.SearchStrategy[Words] = st.builds(
    lambda uses, decls: join("exg", "1", *uses, *((START, *decl) for decl in decls)),
    st.lists(imports, max_size=2),
    st.lists(declarations, min_size=1, max_size=3),
)


@st.composite
def lay_out(draw: st.DrawFn, spec: Words, notes: tuple[str, ...] = COMMENTS) -> str:
    """The words of a spec with drawn gaps between them, a tenth of them comments."""
    random = draw(st.randoms(use_true_random=False))
    parts: list[str] = []
    depth, is_start = 0, False
    for word, following in zip(spec, (*spec[1:], START), strict=True):
        is_start = word == START
        depth += (word in OPENERS) - (word in CLOSERS)
        gap = random.choice(notes if random.random() < 0.1 else GAPS)
        if word == "/" and gap.startswith("/"):
            gap = f" {gap}"  # three slashes would begin documentation
        if depth == 0 and following in KINDS and not is_start:
            gap = " "  # a kind at the start of a line would begin a declaration
        # In the first column it would do so whatever is open.
        parts += [word, gap + " " if gap.endswith("\n") else gap]
    return random.choice(("", "\n", "// first\n")) + "".join(parts)


specs: st.SearchStrategy[str] = words.flatmap(lay_out)
"""Texts without syntax errors. Line breaks are `\\n`, now and then `\\r\\n`."""
