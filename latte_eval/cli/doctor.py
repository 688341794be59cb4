"""`doctor`: what is installed, what is missing, what has been shown, and whether this machine computes the same."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.options import device_option
from latte_eval.core.devices import resolved_device
from latte_eval.core.errors import UsageError
from latte_eval.core.statuses import Status

if TYPE_CHECKING:
    from latte_eval.evaluation.doctor import Finding

SIGNS = {"ok": "ok", "missing": "--", "broken": "XX", "note": "  "}
# Names of claims and of comparisons are longer than those of packages.
WIDTH, WIDTHS = 56, {"shown by": 36, **dict.fromkeys(("program", "packages", "hardware", "folders", "weights"), 22)}


@click.command(epilog="Example: latte-eval doctor --verify --device cuda --json > verified.json")
@click.option(
    "--verify",
    is_flag=True,
    help="Compare networks, loops, distances and converters with outputs of their "
    "references, on the device; then the published numbers of the weights that are there. Minutes on a CPU.",
)
@device_option("For --verify: ")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a finding.")
@quiet_option
def doctor(verify: bool, device: str | None, as_json: bool, quiet: bool) -> None:
    """What is installed, what is missing, where the cache is, and what has been shown with real weights.

    Exit status 5 if something is broken or differs from its reference; missing weights are not.
    """
    from latte_eval.evaluation.doctor import examine, verify_findings

    if device and not verify:
        raise UsageError(f"--device {device} goes with --verify")
    checked = verify_findings(resolved_device(device)) if verify else ()
    broken = show(chain(examine(), counted(checked, quiet)), as_json)
    sys.exit(Status.FAILED if broken else Status.OK)


def counted(findings: Iterable[Finding], quiet: bool) -> Iterator[Finding]:
    """The same findings, counted in a bar where they are not themselves seen to come."""
    with TerminalReporter(quiet or sys.stdout.isatty()).bar("verifying", None, "checks") as done:
        for finding in findings:
            yield finding
            done(1)


def show(findings: Iterable[Finding], as_json: bool) -> bool:
    """Print findings as they come; whether one of them is broken."""
    broken, section = False, ""
    for finding in findings:
        broken = broken or finding.status == "broken"
        if as_json:
            click.echo(json.dumps(dataclasses.asdict(finding)))
            continue
        if finding.section != section:
            section = finding.section
            click.echo(section)
        width = WIDTHS.get(section, WIDTH)
        click.echo(f"  {SIGNS[finding.status]}  {finding.name:<{width}} {finding.text}")
    return broken
