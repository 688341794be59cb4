"""`protocols`: every named protocol: its fields, where they come from, which published numbers it stands beside."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.cli.types import NameType
from latte_eval.compare.comparable import PROTOCOL_REASONS, value_to_text
from latte_eval.core.choices import check_name
from latte_eval.core.protocol import Protocol
from latte_eval.core.protocols import PROTOCOLS


@click.command(epilog="Example: latte-eval protocols tats latte")
@click.argument("names", metavar="[NAME [OTHER]]", nargs=-1, type=NameType(PROTOCOLS))
@click.option("--benchmark", metavar="NAME", type=NameType(BENCHMARKS), help="With what this benchmark fills in.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a protocol.")
def protocols(names: tuple[str, ...], benchmark: str | None, as_json: bool) -> None:
    """Every named protocol; one of them in full; or in which fields two of them differ, and what each field moves."""
    if len(names) > 2:
        raise click.UsageError(f"protocols takes at most two names, not {len(names)}")
    for name in names:
        check_name("protocol", name, PROTOCOLS)
    records = [protocol_to_record(name, benchmark) for name in names or PROTOCOLS]
    if as_json:
        click.echo("\n".join(json.dumps(record, ensure_ascii=False) for record in records))
    elif len(names) == 2:
        click.echo(difference_to_text(*(filled_in(name, benchmark) for name in names)))
    elif names:
        click.echo(full_text(records[0], filled_in(names[0], benchmark)))
    else:
        click.echo("\n".join(map(brief_text, records)))


def filled_in(name: str, benchmark: str | None) -> Protocol:
    """The protocol called `name`, on a benchmark if there is one. Raises `ProtocolError` where it does not go there."""
    return BENCHMARKS[benchmark].protocol(name) if benchmark else PROTOCOLS[name].protocol


def protocol_to_record(name: str, benchmark: str | None) -> dict[str, Any]:
    """What there is to know of a protocol, in JSON types."""
    row, protocol = PROTOCOLS[name], filled_in(name, benchmark)
    return {
        "protocol": name, "id": protocol.id, "fields": protocol.to_dict(), "source": row.source, "beside": row.beside,
        "of_benchmark": list(row.of_benchmark), "on": {key: dict(value) for key, value in row.on.items()},
        "differs": list(row.differs), "golden": row.golden,
    }  # fmt: skip


def brief_text(record: dict[str, Any]) -> str:
    """A few lines: where numbers under it belong, and the fields that are not the usual ones."""
    lines = {"beside": record["beside"], "source": record["source"], "fields": ", ".join(unusual(record["fields"]))}
    return "\n".join([record["protocol"], *(f"  {name:<8}{text}" for name, text in lines.items() if text)])


def unusual(fields: dict[str, Any]) -> list[str]:
    """`field=value` of every field that is not as in `clean`."""
    usual = Protocol().to_dict()
    return [assignment(name, value) for name, value in fields.items() if name != "stem" and value != usual[name]]


def assignment(name: str, value: Any) -> str:
    return f"{name}={value_to_text(value)}"


def full_text(record: dict[str, Any], protocol: Protocol) -> str:
    """Everything: in words, field by field, and what it is checked with."""
    from latte_eval.report.words import protocol_in_words

    lines = [f"{record['protocol']}: {record['id']}", f"source: {record['source']}", f"beside: {record['beside']}", ""]
    lines += [*protocol_in_words(protocol), "", "fields:"]
    lines += [f"  {field.name:<16}{value_to_text(record['fields'][field.name]):<18}" + marks(field.name, record)
              for field in dataclasses.fields(Protocol) if field.name not in ("stem", "benchmark")]  # fmt: skip
    lines += [f"on {name}: {', '.join(assignment(*pair) for pair in changes.items())}"
              for name, changes in record["on"].items()]  # fmt: skip
    lines += ["", *(f"differs from the original: {each}" for each in record["differs"])]
    lines.append(f"checked with: {record['golden'] or 'nothing that can be had'}")
    return "\n".join(line.rstrip() for line in lines)


def marks(name: str, record: dict[str, Any]) -> str:
    """What a reader should know of a field: that a benchmark sets it."""
    return "a benchmark sets its own" if name in record["of_benchmark"] else ""


def difference_to_text(first: Protocol, second: Protocol) -> str:
    """Why a number under the one does not stand beside a number under the other: a line a field."""
    differing = [name for name in first.differing_fields(second) if name != "stem"]
    if not differing:
        return f"{first.stem} and {second.stem} are one protocol: numbers under them stand beside each other"
    head = (
        f"numbers under {first.stem} and {second.stem} do not stand beside each other: {len(differing)} fields differ"
    )
    width = max(map(len, differing))
    rows = [(name, value_to_text(getattr(first, name)), value_to_text(getattr(second, name))) for name in differing]
    return "\n".join([head, *(f"  {name:<{width}}  {one} | {other}: {PROTOCOL_REASONS[name]}"
                              for name, one, other in rows)])  # fmt: skip
