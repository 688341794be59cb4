"""What pandas writes of tables: CSV, LaTeX, HTML and Parquet. It is imported when it is used."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latte_eval.core.errors import UsageError
from latte_eval.core.result import SURROGATE

if TYPE_CHECKING:
    import pandas

Columns = Sequence[tuple[str, list[str]]]  # heading and cells

# What pandas does not escape, as it is no markup: fonts of LaTeX lack it.
SYMBOLS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$"}
# Columns that hold floats, also where all of them are missing.
FLOATS = ("value", "low", "high", "difference", "change", "spread")


def texts_to_frame(columns: Columns) -> pandas.DataFrame:
    """A frame of texts; headings may be alike."""
    import pandas

    rows = list(zip(*(cells for _, cells in columns), strict=True))
    return pandas.DataFrame(rows, columns=[heading for heading, _ in columns], dtype=object)


def texts_to_latex(columns: Columns, numeric: Sequence[bool]) -> str:
    """A booktabs tabular, texts left and numbers right, everything escaped."""
    form = "".join("r" if each else "l" for each in numeric)
    text = texts_to_frame(columns).to_latex(index=False, escape=True, column_format=form).rstrip("\n")
    return "".join(SYMBOLS.get(character, character) for character in text)


def texts_to_html(title: str, columns: Columns, notes: Sequence[str]) -> str:
    """A table element between its title and its footnotes, in ASCII: it is right whatever a page says of itself."""
    table = texts_to_frame(columns).to_html(index=False, border=0, escape=True, justify="left")
    listed = "".join(f"<li>{html.escape(note)}</li>\n" for note in notes)
    text = f"<p><strong>{html.escape(title)}</strong></p>\n{table}" + (f"\n<ul>\n{listed}</ul>" if notes else "")
    return text.encode("ascii", "xmlcharrefreplace").decode()


def records_to_csv(records: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    """Texts as CSV under one header; an absent cell is empty."""
    import pandas

    frame = pandas.DataFrame(records, columns=list(columns), dtype=object)
    return str(frame.to_csv(index=False, lineterminator="\n")).rstrip("\n")


def records_to_parquet(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Rows as a Parquet file, with nullable types. Raises `UsageError` where pyarrow is not installed."""
    import pandas

    check_pyarrow()
    cells = [{name: encodable(cell) for name, cell in record.items()} for record in records]
    frame = pandas.DataFrame(cells, columns=list(columns)).convert_dtypes()
    frame = frame.astype({name: "Float64" for name in FLOATS if name in frame})
    for name in [name for name in frame if str(frame[name].dtype) == "object"]:  # numbers and texts in one column
        frame[name] = frame[name].map(str, na_action="ignore").astype("string")
    out = io.BytesIO()
    frame.to_parquet(out, engine="pyarrow", index=False)
    return out.getvalue()


def encodable(cell: Any) -> Any:
    """A text with a mark for each byte of a file name that is not UTF-8; anything else as it is."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", cell) if isinstance(cell, str) else cell


def check_pyarrow() -> None:
    """Raise `UsageError` where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError("--format parquet takes pyarrow: pip install 'latte-eval[parquet]'") from error
