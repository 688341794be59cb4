"""docs/notebook.ipynb runs from top to bottom, in a kernel of its own, and is stored clean."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from repository import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_it_is_stored_without_outputs_and_machine_paths() -> None:
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
    assert all(cell.metadata == {} for cell in book.cells)
    assert set(book.metadata) == {"kernelspec", "language_info"} and set(book.metadata.language_info) == {"name"}
    assert not re.search(r"/(home|root|tmp|work|Users)/", NOTEBOOK.read_text())


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if output.output_type in ("execute_result", "display_data")]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert len(pages) == 3 and all("FVD" in page and "95 % interval" in page for page in pages)
    assert sum("<svg" in page for page in pages) == 3
    assert any("image/png" in data for data in shown)
