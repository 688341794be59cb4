"""`completion`: the script by which a shell completes commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "latte-eval", "_LATTE_EVAL_COMPLETE"


@click.command(epilog="Example: latte-eval completion bash")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL: put its output where the shell reads it."""
    complete = get_completion_class(shell)
    assert complete is not None  # click has the three of the choice
    click.echo(complete(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
