"""All modules of a compilation with their scopes: what a name written in one of them means.

Modules are keyed by the name of their source, declarations by module and name. Nothing here is mutated after
`resolve` has built it; overrides make a new Program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record, replace
from exgrpo_compiler.ast import Decl, SpecFile
from exgrpo_compiler.source import Source, Span

Load = Callable[[str, Source], Source | None]
"""`load(target, importer)`: the source that `use target` means in the file `importer`, or None."""


class Key(NamedTuple):
    """Identity of a declaration."""

    module: str
    name: str


MISSING = "?"
"""Module of an imported name that could not be found: reported once, at the import, and nowhere else."""


class ModuleAlias(NamedTuple):
    """What `use … as name` binds."""

    module: str


class Binding(NamedTuple):
    """A name in a module's scope and where it got there."""

    target: Key | ModuleAlias
    span: Span


class Module(Record):
    """One file with its scope."""

    spec: SpecFile
    scope: Mapping[str, Binding]

    @property
    def source(self) -> Source:
        """Its text."""
        return self.spec.source


class Program(Record):
    """Modules in loading order, the entry first."""

    entry: str
    modules: Mapping[str, Module]
    decls: Mapping[Key, Decl]
    """Every named declaration but tests."""
    tests: tuple[tuple[str, Decl], ...]
    """(module, declaration)."""

    def find(self, module: str, name: str) -> Key | ModuleAlias | None:
        """What a bare name means in a module."""
        binding = self.modules[module].scope.get(name)
        return binding.target if binding else None

    def names_of(self, module: str, *kinds: str) -> list[str]:
        """Names in a module's scope, of the given kinds where any are given."""
        return [
            name
            for name, binding in self.modules[module].scope.items()
            if isinstance(binding.target, Key)
            and binding.target in self.decls
            and (not kinds or self.decls[binding.target].kind in kinds)
        ]

    def keys_of(self, kind: str) -> list[Key]:
        """Declarations of one kind, entry module first, in source order."""
        return [key for key, decl in self.decls.items() if decl.kind == kind]

    def with_decl(self, key: Key, decl: Decl) -> Program:
        """The program with one declaration replaced."""
        return replace(self, decls={**self.decls, key: decl})


TermsOff = frozenset[tuple[Key, str]]
"""(reward, term) pairs that were turned off."""


class Replaced(NamedTuple):
    """Text of a spec that `--set` put something else in the place of."""

    place: Span
    value: Span
    """In the text of the `--set`."""
    text: str
    """What to say of it where `place` is shown."""


class Overridden(Record):
    """A program with all overrides in it."""

    program: Program
    turned_off: tuple[str, ...] = ()
    """Names of filters, stages and terms, as `invert.in_reach`."""
    terms_off: TermsOff = frozenset()
    """The terms among them."""
    replaced: tuple[Replaced, ...] = ()
