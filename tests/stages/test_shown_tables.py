"""Every table that a stage prints, at 60, 80 and 120 columns, with every number in it."""

import pytest
from shown_tables import WIDTHS, check

PRINTING = ("evaluate", "quantize", "simulate", "export-onnx", "count")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stage", PRINTING)
def test_the_tables_of_a_stage_lose_nothing(small_finished, stage, width):
    assert small_finished.tables[stage]
    for table in small_finished.tables[stage]:
        check(table, width)
        check(table, width, terminal=True)


def test_no_other_stage_prints_one(small_finished):
    assert {name for name, tables in small_finished.tables.items() if tables} == set(PRINTING)
