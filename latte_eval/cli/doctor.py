"""`doctor`: what is installed, what is missing, what has been checked."""

from __future__ import annotations

import dataclasses
import json
import sys
from itertools import chain

import click

from latte_eval.core.statuses import Status

SIGNS = {"ok": "ok", "missing": "--", "broken": "XX", "note": "  "}


@click.command(epilog="Example: latte-eval doctor")
@click.option("--verify", is_flag=True, help="Compute the published golden numbers with the weights that are there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a finding.")
def doctor(verify: bool, as_json: bool) -> None:
    """What is installed, what is missing, where the cache is, and what has been checked with real weights.

    Exit status 5 if something is broken; missing weights are not.
    """
    from latte_eval.evaluation.doctor import examine, verify_findings

    broken, section = False, ""
    for finding in chain(examine(), verify_findings() if verify else ()):
        broken = broken or finding.status == "broken"
        if as_json:
            click.echo(json.dumps(dataclasses.asdict(finding)))
            continue
        if finding.section != section:
            section = finding.section
            click.echo(section)
        click.echo(f"  {SIGNS[finding.status]}  {finding.name:<22} {finding.text}")
    sys.exit(Status.FAILED if broken else Status.OK)
