"""What the parts of a stored result must be, so that everything which shows or compares it can rely on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from latte_eval.core.errors import StoreError
from latte_eval.core.schemas import (
    Check,
    Schema,
    is_anything,
    is_count,
    is_number,
    is_pair,
    is_record,
    is_text,
    list_of,
    or_none,
    shortened,
)


def is_time(value: Any) -> bool:
    """Whether it is a time in the form that results use."""
    try:
        return bool(datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo)
    except ValueError:
        return False


def is_corrected(value: Any) -> bool:
    known = is_number(value.get("value")) and is_pair(value.get("interval"))
    systematic = or_none(is_number)(value.get("systematic"))
    return not value or (known and systematic) or is_text(value.get("unidentified"))


YARDSTICK = Schema({"row": is_text, "fvd": is_number}, {"interval": or_none(is_pair)})
PAIRED = Schema({"shown": is_text, "positions": is_text, "value": is_number}, {"interval": or_none(is_pair),
                 "best": is_number, "best_interval": or_none(is_pair)})  # fmt: skip
APART = Schema({"value": is_number, "pairs": is_count, "positions": is_text, "more_diverse": is_text},
               {"interval": or_none(is_pair)})  # fmt: skip
FLOOR = Schema({"value": is_number, "rows": list_of(is_count)})

# Field -> what it must be where it is not null.
FIELDS: dict[str, Check] = {
    "started": is_time, "seconds": is_number, "fake": is_count, "real": is_count, "interval": is_pair,
    "standard_error": is_number, "corrected": is_corrected, "floor": lambda value: not value or FLOOR.holds(value),
    "seeds": is_pair,
}  # fmt: skip

IDENTITY: dict[str, Check] = {"name": is_text, "fingerprint": is_text}
ARRAY = Schema({"shape": list_of(or_none(is_count)), "sha256": is_text})
SOURCE = Schema(IDENTITY, {"rejected": is_count, "array": ARRAY.holds, "counted_frames": list_of(is_count)})
OPTIONAL_TEXT = or_none(is_text)

# Field -> what the record in it must hold, where it is not null.
PARTS: dict[str, Schema] = {
    "fake_source": SOURCE,
    "real_source": SOURCE,
    "checkpoint": Schema(
        {"name": is_text},
        {"run": OPTIONAL_TEXT, "iteration": or_none(is_number), "sha256": OPTIONAL_TEXT, "assumed": list_of(is_text)},
    ),
    "detector": Schema(
        {"name": is_text, "sha256": is_text, "comparable": is_anything, "used": is_text}, {"samples": is_count}
    ),
    "sampler": Schema(
        {},
        {
            "guidance_scale": or_none(is_number),
            "eta": or_none(is_number),
            "guidance_interval": or_none(is_pair),
            "steps": or_none(is_count),
            "codec": OPTIONAL_TEXT,
        },
    ),
    "protocol_fields": Schema({"benchmark": is_text}),
    "details": Schema(
        {},
        {
            "std": is_number,
            "splits": is_count,
            "subsets": is_count,
            "table": list_of(YARDSTICK.holds),
            "paired": list_of(PAIRED.holds),
            "diversity": APART.holds,
            "without_part": list_of(is_number),
        },
    ),
    "code": Schema({}, {"commit": OPTIONAL_TEXT}),
    "env": Schema({}, {"world": or_none(is_count), "arithmetic": or_none(is_record)}),
}


def check_parts(record: Mapping[str, Any], where: str) -> None:
    """Raise `StoreError` that names a part of a result which is not what it must be."""
    for name, check in FIELDS.items():
        value = record.get(name)
        if value is not None and not check(value):
            raise StoreError(f"{where} was edited: {name} of the {record['metric']} result is {shortened(value)}")
    for name, schema in PARTS.items():
        if record.get(name) is not None and (fault := schema.fault(record[name])):
            raise StoreError(f"{where} was edited: in its {name}, {fault}")
