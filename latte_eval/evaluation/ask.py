"""Keywords of Python as a `Request`, and what has to be read before it can be measured."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from latte_eval.core.choices import check_name
from latte_eval.core.devices import resolved_device
from latte_eval.core.errors import UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.fields import value_to_text
from latte_eval.evaluation.inputs import Made, Reading, Unread, to_input
from latte_eval.evaluation.request import Request
from latte_eval.metrics.detectors import open_detector

# Keywords that say how arrays are read, and are no fields of a `Request`.
READING = tuple(field.name for field in dataclasses.fields(Reading))

# Options of the command line whose fields are called otherwise.
ALSO = {"compile": "compiled", "detector": "detectors", "param": "params"}
PROTOCOL_FIELDS = tuple(field.name for field in dataclasses.fields(Protocol))

PATHS, PLACES, LISTS = ("prompts", "mask"), ("ckpt", "vae", "out"), ("metrics", "detectors")


def to_request(request: Request | None, options: Mapping[str, Any]) -> Request:
    """A request, or what keywords make one. None means that a keyword is left out.

    Raises `UsageError` for both at once, for an unknown keyword, and whatever `Request` raises.
    """
    check_keywords(options)
    given = {ALSO.get(name, name): value for name, value in options.items() if value is not None}
    if request is not None:
        if given:
            raise UsageError(f"give a Request or keywords, not both: {', '.join(given)}")
        return request
    reading = Reading(**{name: given.pop(name) for name in READING if name in given})
    device = given.pop("device", None)
    return Request(**{**given, **converted(given, reading)}, device=resolved_device(device and str(device)))


def check_keywords(options: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a keyword that does not exist, is given under two names, or is a field of the protocol."""
    fields = [field.name for field in dataclasses.fields(Request)]
    for name in options:
        if ALSO.get(name) in options:
            raise UsageError(f"{name} and {ALSO[name]} are the same: give one")
        if name in PROTOCOL_FIELDS and name not in fields:
            raise UsageError(f"{name} is a field of the protocol: params={{{name!r}: {options[name]!r}}}")
        check_name("keyword", ALSO.get(name, name), [*fields, *READING])


def converted(given: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    """The keywords whose values are written otherwise in Python than `Request` holds them."""
    found: dict[str, Any] = {name: Path(given[name]).expanduser() for name in PATHS if name in given}
    found |= {name: str(given[name]) for name in PLACES if isinstance(given.get(name), os.PathLike)}
    found |= {name: to_names(given[name]) for name in LISTS if name in given}
    if "params" in given:
        found["params"] = to_params(given["params"])
    sides = {side: to_input(given[side], side, reading) for side in ("fake", "real") if side in given}
    if isinstance(made := sides.get("fake"), Made):
        sides |= {"fake": None, "generator": made}
    generator = given.get("generator")
    if generator is not None and not isinstance(generator, str | Made):
        sides["generator"] = Made(generator)
    return {**found, **sides}


def to_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """`"fvd,fid"` or a list as names."""
    names = given.split(",") if isinstance(given, str) else given
    return tuple(name.strip() for name in names)


def to_params(given: str | Mapping[str, Any] | Iterable[str]) -> tuple[str, ...]:
    """`{"size": 64}`, `"size=64"` or a list of such texts as `Request` holds them."""
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Mapping):
        return tuple(f"{name}={value_to_text(to_tuple(value))}" for name, value in given.items())
    return tuple(given)


def to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read_inputs(request: Request, reporter: Reporter) -> Request:
    """The request with its iterables read. What can fail without them fails first: options, detectors, run folder."""
    unread = {side: value for side in ("real", "fake") if isinstance(value := getattr(request, side), Unread)}
    if not unread:
        return request
    request.check_sides()
    request.run_folder.make()
    for name in request.detector_names():
        open_detector(name, request.device, trust=request.trust)
    protocol = request.resolved_protocol()
    counts = {"real": protocol.real_clips, "fake": protocol.fake_clips}
    exact = {side: count if request.clips is not None else None for side, count in counts.items()}
    found: dict[str, Any] = {side: value.read(side, exact[side], reporter) for side, value in unread.items()}
    return dataclasses.replace(request, **found)
