"""What the docs site holds besides the files of docs/: pages of the repository, all commands, and the Python API.

MkDocs calls the functions whose names begin with `on_`. Links are written for a reader of the repository; here they are
turned into links of the site, and those to files that are no page lose their address.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from latte_eval.cli import COMMANDS, group

ROOT = Path(__file__).parents[2]

# Pages that lie elsewhere in the repository, and their names in the site.
ELSEWHERE = {
    "README.md": "overview.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/speed/RESULTS.md": "speed.md",
}

API = ("latte_eval", "latte_eval.sampler", "latte_eval.metrics", "latte_eval.metrics.detectors")

# [text](target), with an optional place inside the page
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, name in ELSEWHERE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "commands.md", content=commands_page()))
    files.append(File.generated(config, "api.md", content=api_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    name = page.file.src_uri
    source = next((source for source, site in ELSEWHERE.items() if site == name), f"docs/{name}")
    return LINK.sub(lambda match: site_link(match, PurePosixPath(source), files), markdown)


def site_link(match: re.Match[str], source: PurePosixPath, files: Files) -> str:
    """A link of a page of the repository, as the site needs it."""
    image, text, target, place = match[1], match[2], match[3], match[4] or ""
    if "://" in target or target.startswith("mailto:"):
        return match[0]
    path = os.path.normpath(source.parent / target).replace(os.sep, "/")
    name = ELSEWHERE.get(path, path.removeprefix("docs/"))
    return f"{image}[{text}]({name}{place})" if files.get_file_from_path(name) else text


def commands_page() -> str:
    """What `--help` prints, of every command and of what is below it."""
    parts = ["# Every command\n", "What `--help` prints.\n"]
    for name in COMMANDS:
        parts += command_sections(f"latte-eval {name}", group.get_command(click.Context(group), name))
    return "\n".join(parts)


def command_sections(words: str, command: click.Command | None) -> list[str]:
    assert command is not None
    settings: dict[str, Any] = {**(group.context_settings or {}), **(command.context_settings or {})}
    context = click.Context(command, info_name=words, terminal_width=80, max_content_width=80,
                            help_option_names=settings["help_option_names"])  # fmt: skip
    sections = [f"## {words}\n", f"```text\n{command.get_help(context)}\n```\n"]
    for name, below in getattr(command, "commands", {}).items():
        sections += command_sections(f"{words} {name}", below)
    return sections


def api_page() -> str:
    """Every public name, by the module that users import it from."""
    parts = ["# Every public name\n"]
    for module in API:
        parts.append(f"## {module}\n")
        parts += [name_section(module, name) for name in public_names(module)]
    return "\n".join(parts)


def public_names(module: str) -> list[str]:
    there = vars(importlib.import_module(module))
    return sorted(there.get("__all__") or there["HOMES"])


def name_section(module: str, name: str) -> str:
    found = getattr(importlib.import_module(module), name)
    home = found.__module__ if hasattr(found, "__qualname__") else module
    return f"::: {home}.{name}\n    options:\n      heading: {module}.{name}\n"
