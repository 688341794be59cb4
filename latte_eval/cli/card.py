"""`card`: results as metadata of a model card."""

from __future__ import annotations

from pathlib import Path

import click

from latte_eval.cli.options import FOLDER, RUN_LINES


@click.command(epilog="Example: latte-eval card runs/ucf101 --into README.md")
@click.argument("run", type=RUN_LINES, metavar="RUN|JSONL|URL")
@click.option("--into", type=FOLDER, metavar="README.md", help="Merge into this model card; the rest of it stays as it "
              "is.  [default: print the metadata]")  # fmt: skip
@click.option("--of", metavar="NAME", help="Which checkpoint, where results are of several.")
@click.option("--name", metavar="MODEL", help="Name of the model in the card.  [default: the card's, else that of the "
              "checkpoint]")  # fmt: skip
def card(run: Path, into: Path | None, of: str | None, name: str | None) -> None:
    """Results as `model-index` of the Hugging Face Hub, with protocol, interval and counts.

    The newest result of each metric, protocol and detector; earlier ones of latte-eval in the card are replaced.
    """
    from latte_eval.report.card import card_block, results_for_card, write_card

    results = results_for_card(run, of)
    if into is None:
        click.echo(card_block(results, name), nl=False)
        return
    kept = write_card(into, results, name)
    others = f", beside {kept:,} that stay" if kept else ""
    click.echo(f"{into}: {len(results):,} result{'s' if len(results) > 1 else ''}{others}")
