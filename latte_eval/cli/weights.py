"""`weights`: list, fetch and locate the pinned files."""

from __future__ import annotations

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.files.weights import WEIGHTS, all_weights, fetch_weights, weights_paths, weights_state


@click.group()
def weights() -> None:
    """List, fetch and locate the files of detector weights.

    Example: latte-eval weights list
    """


@weights.command(name="list", epilog="Example: latte-eval weights list")
def list_() -> None:
    """State, bytes, sha256, licence and origin of every file."""
    for record in all_weights():
        size = f"{record.size:,} bytes" if record.size else "size unknown"
        click.echo(f"{record.name}: {weights_state(record)}")
        click.echo(f"  file     {record.filename}, {size}")
        click.echo(f"  sha256   {record.sha256 or 'none is public: trusted on first use, then recorded'}")
        click.echo(f"  licence  {record.licence}")
        click.echo(f"  origin   {record.origin}")
        for url in record.urls:
            click.echo(f"  from     {url}")


@weights.command(epilog="Example: latte-eval weights fetch i3d-archive")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@quiet_option
def fetch(names: tuple[str, ...], quiet: bool) -> None:
    """Download files into the cache and check their hashes; without names, all whose licence asks for no decision."""
    reporter = TerminalReporter(quiet)
    for record in [WEIGHTS[name] for name in names] or [each for each in all_weights() if not each.ask_first]:
        if record.ask_first:
            reporter.say(f"{record.name}: licence {record.licence}")
        with reporter.bar(record.filename, record.size) as advance:
            done = [0]

            def progress(count: int, total: int | None, done: list[int] = done) -> None:
                advance(count - done[0])
                done[0] = count

            path = fetch_weights(record, progress=progress)
        click.echo(path)


@weights.command(epilog="Example: latte-eval weights path i3d-archive")
@click.argument("name")
def path(name: str) -> None:
    """Where a file is, or where it would be looked for first."""
    places = weights_paths(WEIGHTS[name])
    click.echo(next((place for place in places if place.exists()), places[0]))
