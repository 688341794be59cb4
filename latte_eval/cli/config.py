"""`--config FILE.toml`: options as a file, and `--print-config`, which writes what was typed as one.

A file holds long option names without their dashes, and arguments by their names: `guidance-scale = 7.0`,
`param = ["real_stride=3"]`. What is typed wins over the file, a list as a whole. Relative paths are those from the
folder of the file, so that it works from everywhere; written ones are absolute.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from latte_eval.cli.types import UserPath
from latte_eval.core.choices import did_you_mean
from latte_eval.core.errors import UsageError

STDIN = "-"
GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)
# Options of this module, which stand in no file.
OWN = ("config", "print-config", "help")
PRINTS = "latte_eval.print_config"
# Suffixes of what is a file of weights, and no name.
FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


class Configured(click.Command):
    """A command with `--config` and `--print-config`."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--config"], metavar="FILE", is_eager=True, expose_value=False, callback=take_config,
                         help="Options from a TOML file, - for stdin; those that are typed win."),
            click.Option(["--print-config"], is_flag=True, expose_value=False, callback=note_print,
                         help="Write what was typed as such a file on stdout, and do nothing else."),
        ]  # fmt: skip

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.meta.get(PRINTS):
            click.echo(config_to_text(ctx), nl=False)
            return None
        return super().invoke(ctx)


class ConfiguredGroup(Configured, click.Group):
    """The same of a command that has others below it."""


def take_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Values of the file become the defaults of the options. Raises `UsageError`."""
    if value is not None:
        ctx.default_map = {**(ctx.default_map or {}), **read_config(value, ctx)}


def note_print(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[PRINTS] = value


def read_config(name: str, ctx: click.Context) -> dict[str, Any]:
    """The file's values by name of the parameter, checked. Raises `UsageError` with the line of what is wrong."""
    text, folder = config_text(name)
    try:
        keys = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f'{name} is not TOML: {error}. Text stands in quotes: real = "videos"') from error
    known, values = dict(named_parameters(ctx.command)), dict[str, Any]()
    for key, value in keys.items():
        where = f"{name}, line {line_of(key, text)}"
        parameter = known.get(key.replace("_", "-"))
        if parameter is None or parameter.name is None:
            raise UsageError(f"{where}: {refusal(key, value, known, ctx)}")
        if parameter.name in values:
            raise UsageError(f"{where}: {key} stands there twice, under two of its names")
        values[parameter.name] = checked(parameter, key, value, where, folder, ctx)
    return values


def config_text(name: str) -> tuple[str, Path]:
    """The text of a file, and the folder from which its paths count. Raises `UsageError`."""
    try:
        if name == STDIN:
            return sys.stdin.read(), Path()
        path = Path(name).expanduser()
        return path.read_text(encoding="utf-8"), path.absolute().parent
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def named_parameters(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    """What a file may hold: every long name of an option, and arguments."""
    for parameter in command.params:
        names = parameter.opts if isinstance(parameter, click.Option) else [f"--{parameter.name}"]
        yield from ((name[2:], parameter) for name in names if name.startswith("--") and name[2:] not in OWN)


def refusal(key: str, value: Any, known: dict[str, click.Parameter], ctx: click.Context) -> str:
    """What to say of a key that is no option."""
    if isinstance(value, dict):
        return f"[{key}] is a table; options stand by themselves, such as steps = 50"
    return f"{ctx.info_name} has no option {key!r}. {did_you_mean(key, known)}".rstrip()


def checked(
    parameter: click.Parameter, key: str, value: Any, where: str, folder: Path, ctx: click.Context
) -> Any:  # a value that click takes as a default
    """The value, if the option can have it. Raises `UsageError`."""
    several = parameter.multiple if isinstance(parameter, click.Option) else parameter.nargs == -1
    if several and not isinstance(value, list):
        raise UsageError(f"{where}: {key} takes a list, such as {key} = [{literal(value)}]")
    each = [one_checked(parameter, key, item, where, folder, ctx) for item in (value if several else [value])]
    return each if several else each[0]


def one_checked(
    parameter: click.Parameter, key: str, value: Any, where: str, folder: Path, ctx: click.Context
) -> Any:  # bool, int, float or str
    """One value of the type of the option. Raises `UsageError` with both types, or with what the option says."""
    wanted = wanted_type(parameter)
    allowed = (int, float) if wanted is float else wanted
    if not isinstance(value, allowed) or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"{where}: {key} is {literal(value)}; it takes {WORDS[wanted]}")
    if isinstance(parameter.type, UserPath):
        value = from_folder(str(value), folder, may_be_name=parameter.type.type is not Path)
    try:
        parameter.type.convert(value, parameter, ctx)
    except (click.UsageError, UsageError) as error:
        message = error.format_message() if isinstance(error, click.UsageError) else str(error)
        raise UsageError(f"{where}: {message}") from error
    return value


WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: 'a text in quotes, such as "name"'}


def wanted_type(parameter: click.Parameter) -> type:
    """What TOML must hold for an option."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return bool
    if isinstance(parameter.type, click.types.IntParamType):
        return int
    return float if isinstance(parameter.type, click.types.FloatParamType) else str


def from_folder(value: str, folder: Path, may_be_name: bool) -> str:
    """A path from the folder of the file.

    What may be a name, such as `demo` or `stabilityai/sd-vae-ft-ema`, is one unless it looks like a file, or is there.
    """
    path = Path(value).expanduser()
    if "://" in value or value == "" or path.is_absolute():
        return value
    is_name = may_be_name and not (path.suffix in FILES or value.startswith(".") or (folder / path).exists())
    return value if is_name else os.path.normpath(folder / path)


def line_of(key: str, text: str) -> int:
    """The line in which a key of the file is set."""
    quoted = rf"""["']?{re.escape(key)}["']?"""
    pattern = re.compile(rf"^\s*(?:\[+\s*{quoted}|{quoted}\s*[.=])")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def config_to_text(ctx: click.Context) -> str:
    """What was typed, or came from a file, as a file: a comment for each group of options."""
    lines, before = [f"# {ctx.command_path} --config FILE"], ""
    for parameter in ctx.command.params:
        name, value = str(parameter.name), ctx.params.get(str(parameter.name))
        if name not in ctx.params or value is None or ctx.get_parameter_source(name) not in GIVEN:
            continue
        group = group_of(name)
        lines += ["", f"# {group}"] if group != before else []
        lines.append(f"{key_of(parameter)} = {literal(to_plain(parameter, value))}")
        before = group
    return "\n".join([*lines, ""])


def key_of(parameter: click.Parameter) -> str:
    """The first long name of an option; the name of an argument."""
    return next(iter(dict(named_parameters(click.Command("", params=[parameter])))))


def group_of(name: str) -> str:
    """Which of the stacks in options.py an option belongs to."""
    from latte_eval.cli import options

    for title, decorator in options.GROUPS.items():
        if name in options.names_in(decorator):
            return title
    return "this command"


def to_plain(parameter: click.Parameter, value: Any) -> Any:
    """A value in types of TOML; paths are absolute, so that the file may lie anywhere."""
    if isinstance(value, tuple):
        return [to_plain(parameter, each) for each in value]
    return os.path.abspath(value) if is_file(parameter, value) else value  # noqa: PTH100 - links stay


def is_file(parameter: click.Parameter, value: Any) -> bool:
    """Whether a value is a path, and no name or address, as `from_folder` tells them apart."""
    if isinstance(value, Path) or not isinstance(parameter.type, UserPath) or "://" in str(value):
        return isinstance(value, Path)
    path = Path(str(value))
    return path.suffix in FILES or path.exists()


def literal(value: Any) -> str:
    """A value as TOML: what JSON and TOML write alike, but for floats that are no numbers."""
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
