"""The commands by name, each imported when it is called for, and the group that finds them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

COMMANDS: Final[Mapping[str, str]] = {
    "new": "exgrpo_dsl.cli.new:new",
    "check": "exgrpo_dsl.cli.check:check",
    "lint": "exgrpo_dsl.cli.lint:lint",
    "fix": "exgrpo_dsl.cli.fix:fix",
    "fmt": "exgrpo_dsl.cli.fmt:fmt",
    "compile": "exgrpo_dsl.cli.compile:compile_",
    "test": "exgrpo_dsl.cli.test:test",
    "stress": "exgrpo_dsl.cli.stress:stress",
    "preview": "exgrpo_dsl.cli.preview:preview",
    "graph": "exgrpo_dsl.cli.graph:graph",
    "doc": "exgrpo_dsl.cli.doc:doc",
    "schema": "exgrpo_dsl.cli.schema:schema",
    "add": "exgrpo_dsl.cli.add:add",
    "lock": "exgrpo_dsl.cli.lock:lock",
    "update": "exgrpo_dsl.cli.update:update",
    "vendor": "exgrpo_dsl.cli.vendor:vendor",
    "deps": "exgrpo_dsl.cli.deps:deps",
    "plan": "exgrpo_dsl.cli.plan:plan",
    "run": "exgrpo_dsl.cli.run:run",
    "eval": "exgrpo_dsl.cli.eval:eval_",
    "store": "exgrpo_dsl.cli.store:store",
    "rollouts": "exgrpo_dsl.cli.rollouts:rollouts",
    "report": "exgrpo_dsl.cli.report:report",
    "push": "exgrpo_dsl.cli.push:push",
    "explain": "exgrpo_dsl.cli.explain:explain",
    "doctor": "exgrpo_dsl.cli.doctor:doctor",
}
"""Name -> module and click command in it, in the order of `exgrpo --help`."""


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        home = COMMANDS.get(cmd_name)
        if home is None:
            return None
        module, _, name = home.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the closest name where there is none.

        Raises:
            UsageError: there is no such command.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from exgrpo_compiler.diagnostics import suggest_name

            hint = suggest_name(args[0], COMMANDS)
            if hint is None or args[0] in COMMANDS:
                raise
            raise click.UsageError(f"There is no command `{args[0]}`: {hint}", ctx) from error
