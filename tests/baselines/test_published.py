"""The published numbers, against the tables as the paper prints them."""

import csv
import io
import json
from decimal import Decimal

import pytest

from latte_eval.baselines.published import TABLES, published_table, published_values, reports
from latte_eval.baselines.table import RENDERERS, Heading, Table, published_to_table, render, tables_to_parquet
from latte_eval.core.errors import UsageError

# Typed a second time, as the paper prints them; "-" is an entry that it leaves out.
PRINTED = {
    "table1": """
        MoCoGAN 10.09 23.97 | VideoGPT 12.61 22.7 | MoCoGAN-HD 23.39 7.12 | DIGAN 23.16 19.1
        StyleGAN-V 23.94 9.445 | PVDM 60.55 29.76 | Latte 68.53 5.02 | Latte+IMG 73.31 3.87""",
    "table2": """
        MoCoGAN 124.7 206.6 2886.9 - | VideoGPT 185.9 222.7 2880.6 - | MoCoGAN-HD 111.8 164.1 1729.6 128.1
        DIGAN 62.5 83.11 1630.2 156.7 | StyleGAN-V 47.41 79.52 1431.0 - | PVDM 355.92 75.48 1141.9 540.2
        MoStGAN-V 39.70 65.30 1380.3 - | LVDM - 95.20 372.0 99.0 | Latte 34.00 59.82 477.97 159.60
        Latte+IMG 27.08 42.67 333.61 97.09""",
    "table4": """
        Latte-S 12 384 6 32.48 | Latte-B 12 768 12 129.54 | Latte-L 24 1024 16 456.81 | Latte-XL 28 1152 16 673.68""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_every_entry_has_the_digits_of_the_paper(name: str) -> None:
    table = published_table(name)
    rows = [row.split() for line in PRINTED[name].splitlines() for row in line.split("|") if row.strip()]
    found = [[row, *(str(cells.get(key, "-")) for key in table.columns)] for row, cells in table.rows.items()]
    assert found == rows


def test_table3_and_text_to_video() -> None:
    rows = published_table("table3").rows
    assert [str(cells["parameters"]) for cells in rows.values()] == ["673.68", "673.68", "676.33", "676.44"]
    assert [str(cells["flops"]) for cells in rows.values()] == ["5572.69", "5572.69", "6153.15", "1545.15"]
    assert published_table("text-to-video").rows["LatteT2V"] == {"fvd": Decimal("328.20"), "fid": Decimal("50.72")}


def test_a_missing_entry_is_missing() -> None:
    assert published_table("table2").value("LVDM", "faceforensics") is None
    assert "LVDM" not in published_values("faceforensics", "fvd")
    assert published_values("ucf101", "is")["Latte+IMG"] == Decimal("73.31")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_says_unit_direction_protocol_and_edition(name: str) -> None:
    table = published_table(name)
    assert table.protocol and "2401.03048" in table.edition
    for column in table.columns.values():
        assert column.better in (("lower", "higher") if column.benchmark else ("",))
        assert column.unit in ("", "M", "G")


def test_reports_are_kept_apart_and_name_their_thread() -> None:
    values = {str(report.value) for report in reports("reruns", "ucf101", "fvd")}
    assert values == {"168", "190", "320"}
    assert {report.benchmark for report in reports("real_data")} == {"ucf101"}
    assert str(reports("real_data", "ucf101", "is")[0].value) == "97"
    published = {value for name in TABLES for cells in published_table(name).rows.values() for value in cells.values()}
    for report in [*reports("reruns"), *reports("real_data")]:
        assert "#" in report.source and report.how
        assert report.value not in published


def test_an_unknown_table_suggests_one() -> None:
    with pytest.raises(UsageError, match="Did you mean table2"):
        published_table("table22")


@pytest.mark.parametrize("form", RENDERERS)
def test_every_format_holds_every_number(form: str) -> None:
    for name in PRINTED:
        text = render([published_to_table(published_table(name))], form)
        for cells in published_table(name).rows.values():
            for value in cells.values():
                assert str(value) in text or str(float(value)) in text


def test_markdown_marks_missing_entries_and_lines_up() -> None:
    lines = render([published_to_table(published_table("table2"))]).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 12 and len({len(row) for row in rows}) == 1
    assert [cell.strip() for cell in rows[-3].split("|")[1:-1]] == ["LVDM", "-", "95.20", "372.0", "99.0"]


def test_csv_and_json_leave_missing_entries_empty() -> None:
    table = published_to_table(published_table("table2"))
    rows = list(csv.DictReader(io.StringIO(render([table], "csv"))))
    assert rows[0]["taichi-hd"] == "" and rows[-1]["taichi-hd"] == "97.09"
    record = json.loads(render([table], "json"))["tables"][0]
    assert record["rows"][0]["taichi-hd"] is None and record["rows"][-1]["taichi-hd"] == 97.09
    assert record["about"]["columns"]["ucf101"]["better"] == "lower"


def test_several_tables_share_one_csv_header() -> None:
    tables = [published_to_table(published_table(name)) for name in ("table1", "table4")]
    rows = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    assert len(rows) == 8 + 4
    assert rows[0]["layers"] == "" and rows[-1]["layers"] == "28"


def test_cells_that_need_care() -> None:
    headings = {"a": Heading("50 % & more"), "b": Heading("b|c", "+.1f"), "n": Heading("n")}
    rows = [{"a": "x_1", "b": 1.25, "n": 2048}, {"a": None, "b": (1.0, 2.0)}]
    table = Table("t", "T", headings, rows)  # type: ignore[arg-type]
    assert "b\\|c" in render([table]) and "+1.2" in render([table]) and "2,048" in render([table])
    assert "[+1.0, +2.0]" in render([table])
    assert r"50 \% \& more" in render([table], "latex") and r"x\_1" in render([table], "latex")
    assert "50 % &amp; more" in render([table], "html")
    assert list(csv.reader(io.StringIO(render([table], "csv"))))[1] == ["x_1", "1.25", "2048"]
    with pytest.raises(UsageError, match="Did you mean latex"):
        render([table], "latx")


def test_markup_in_names_is_escaped() -> None:
    name = r"<b>~\^{$1}|&#_</b>"
    table = Table(name, name, {"a": Heading(name + " ↑"), "b": Heading(name)}, [{"a": name, "b": 1.0}], [f"{name}\nx"])
    html, latex = render([table, table], "html"), render([table], "latex")
    assert "<b>" not in html and html.isascii() and html.count("<table") == html.count("</table>") == 2
    assert html.count("&lt;b&gt;") == 2 * 5 and "&#8593;" in html
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert len(latex.splitlines()) - len(body) == 2, "a note stays within its comment"
    assert [line for line in body if line.startswith("\\")][0] == r"\begin{tabular}{lr}"
    assert r"\textasciitilde" in latex and r"\$\uparrow$"[2:] in latex and r"\$1" in latex and r"\#" in latex


def test_parquet_keeps_kinds_and_missing_entries() -> None:
    pytest.importorskip("pyarrow", reason="pip install 'latte-eval[parquet]'")
    import pandas

    headings = {key: Heading(key) for key in ("value", "low", "n", "mixed")}
    rows = [{"value": Decimal("1.50"), "n": 3, "mixed": (1.0, 2.0)}, {"value": 2.25, "mixed": "x"}]
    frame = pandas.read_parquet(io.BytesIO(tables_to_parquet([Table("t", "T", headings, rows)])))  # type: ignore[arg-type]
    assert [str(each) for each in frame.dtypes] == ["Float64", "Float64", "Int64", "string"]
    assert frame["value"].to_list() == [1.5, 2.25] and frame["low"].isna().all()
    assert frame["mixed"].to_list() == ["[1.0, 2.0]", "x"] and frame["n"].isna().to_list() == [False, True]
