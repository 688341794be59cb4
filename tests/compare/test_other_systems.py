"""Published numbers of VDT and Video LDM: each with its protocol, and none beside Table 2."""

from __future__ import annotations

import json
from decimal import Decimal

from command_line import latte_eval
from result_makers import make_result, replaced

from latte_eval.baselines.published import TABLES, published_table, published_values
from latte_eval.baselines.systems import published_systems, systems_measuring
from latte_eval.compare.explain import difference_table
from latte_eval.compare.other_systems import measured_table, system_tables, task_of


def test_the_digits_are_those_of_the_sources():
    systems = {numbers.table.name: numbers for numbers in published_systems()}
    zero_shot = systems["videoldm-ucf101"].table
    assert zero_shot.value("Video LDM (SD 2.1)", "fvd") == Decimal("550.61")
    assert zero_shot.value("Video LDM (SD 2.1)", "is") == Decimal("33.45")
    assert [zero_shot.value("Video LDM (SD 1.4)", key) for key in ("fvd", "is")] == [
        Decimal("656.49"),
        Decimal("29.49"),
    ]
    assert systems["vdt-ucf101"].table.value("VDT", "fvd") == Decimal("225.7")
    assert systems["videoldm-decoder"].table.value("decoder fine-tuned on video", "fvd") == Decimal("32.94")
    assert systems["videoldm-biking"].table.value("Video LDM", "fvd") == Decimal("118")


def test_every_table_says_what_a_reader_must_know():
    for numbers in published_systems():
        assert numbers.read in ("the paper", "second-hand") and numbers.runnable.startswith("no: "), numbers.table.name
        assert (numbers.system == "VDT") == (numbers.read == "second-hand")
        assert numbers.samples and numbers.apart and "arXiv" in numbers.table.edition and numbers.table.protocol
    assert {numbers.system for numbers in published_systems()} == {"VDT", "Video LDM"}
    many = [numbers.table.name for numbers in published_systems() if numbers.samples == "10,000 clips"]
    assert many == ["videoldm-ucf101"]


def test_none_is_part_of_a_table_of_the_paper():
    """Whatever looks for published numbers of UCF101 finds those of Table 2 alone."""
    rows = {row for numbers in published_systems() for row in numbers.table.rows}
    assert not rows & set(published_values("ucf101", "fvd")) - {"DIGAN"}
    assert published_values("ucf101", "fvd")["DIGAN"] == Decimal("1630.2")
    assert not {numbers.table.name for numbers in published_systems()} & set(TABLES)
    assert "Video LDM (SD 2.1)" not in published_table("table2").rows
    assert len(systems_measuring("ucf101", "fvd")) == 3 and not systems_measuring("skytimelapse", "fvd")


def test_explain_says_why_they_stand_apart():
    result = make_result("ucf101")
    notes = difference_table(result, replaced(result, value=result.value + 1)).notes
    apart = [note for note in notes if "550.61" in note]
    assert len(apart) == 1 and "text-to-video, trained on other data, 10,000 clips" in apart[0]
    assert any("225.7" in note and "frames of 64 pixels, Table 2 has 256" in note for note in notes)
    sky = make_result("skytimelapse")
    assert not [note for note in difference_table(sky, sky).notes if "Table 2" in note]


def test_measured_rows_have_their_task_and_protocol():
    vdt = make_result()
    sampler = {**(vdt.sampler or {}), "task": "predict", "given": None}
    vdt = replaced(vdt, checkpoint={**(vdt.checkpoint or {}), "family": "VDT"}, sampler=sampler)
    tables = system_tables([vdt, make_result()])
    measured = tables[-1]
    assert [row["task"] for row in measured.rows] == ["predict"] and measured.rows[0]["protocol"] == vdt.protocol
    assert not any("measured" in heading.text for table in tables[:-1] for heading in table.headings.values())
    assert "No result of a VDT" in measured_table([]).notes[0]
    frames = replaced(vdt, sampler={**sampler, "task": "by mask", "given": "0:8"})
    mask = replaced(vdt, sampler={**sampler, "task": "by mask", "mask_sha256": "ab" * 32})
    assert (task_of(frames), task_of(mask)) == ("frames 0:8 given", "mask abababababab")
    alone = replaced(frames, protocol_fields={**frames.protocol_fields, "counted": "generated"})
    assert task_of(alone) == "frames 0:8 given, generated frames alone"


def test_the_command_in_every_format():
    done = latte_eval("table-vdt")
    assert done.returncode == 0 and "550.61" in done.stdout and "Runnable: no: no code and no weights" in done.stdout
    tables = json.loads(latte_eval("table-vdt", "--format", "json").stdout)["tables"]
    record = next(row for table in tables for row in table["rows"] if row["value"] == 550.61)
    assert (record["kind"], record["samples"], record["read"]) == ("published", "10,000 clips", "the paper")
    assert record["apart"].startswith("text-to-video")
    assert "550.61" in latte_eval("table-vdt", "--format", "latex").stdout
