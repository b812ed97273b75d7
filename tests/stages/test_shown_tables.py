"""Every table that a stage prints, at 60, 80 and 120 columns, with every number in it."""

import shutil
from dataclasses import fields

import pytest
from pumice.stages import export_c, sdn, search, sensitivity
from pumice.terminal import running
from pumice.train.sdn.agreement import Agreement
from shown_tables import WIDTHS, check, recorded

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


def test_a_comparison_of_runs(small_finished, figures, tmp_path):
    for name in ("one", "another"):
        shutil.copytree(small_finished.folder, tmp_path / name / "a folder with a long name")
    with recorded() as tables:
        figures.call("report", *(str(path) for path in tmp_path.glob("*/*")), f"out={tmp_path}")
    assert tables
    for width in WIDTHS:
        for table in tables:
            check(table, width)


AT = {"sqnr_db": 31.4159, "same_class": 371, "correct": 382, "decisions": 400, "kl": 3.2e-5, "refused": None}
LARGE = {"parameter_bits": 8_000_000, "bit_operations": 123_456_789.0, "state_bits": 4096}


def widths_alone():
    """What `pumice sensitivity` tells, of a network of many tensors."""
    saved = {f"saved_{name}": value / 7 for name, value in LARGE.items()}
    places = [f"stages.{number}.layers.1.ssm.input_projection_of_{number}" for number in range(40)]
    entries = [{"place": name, "from": 8, "to": 4, **AT, **saved} for name in places]
    return {"base": {**AT, **LARGE}, "entries": entries, "judge": "validation"}


def points():
    """What `pumice search` tells."""
    front = [{"name": f"point-{number}", "values": [1e-5, 83_112.0, 7.7e9], "figures": AT} for number in (3, 1204)]
    return {"front": front, "trials": 1500, "refused": 12, "judge": "validation", "chosen": "point-1204"}


def agreements():
    """What `pumice sdn evaluate` tells."""
    one = Agreement(**{field.name: 0.98765 / (number + 1) for number, field in enumerate(fields(Agreement))})
    return {name: {"normal": one, "near the threshold": one} for name in ("network", "no memory", "8 sweeps alone")}


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_of_what_takes_long(width, monkeypatch, tmp_path):
    settings = search.SearchSettings(objectives=["divergence", "bytes", "bit_operations"])
    with recorded() as tables:
        sensitivity._print(widths_alone(), "a task", sensitivity.Printer())
        search._print(points(), settings, "a task", tmp_path, search.Printer())
    sizes = {"code": 81_234, "constants": 83_112, "ram": 12_345}
    tables.append(export_c._sizes({"targets": {"cortex-m4": sizes, "riscv32": sizes}, "state_bytes": 1536}))
    tables += [sdn._table(agreements()["network"], 0.125), sdn._comparison(agreements())]
    assert len(tables) == 5
    for table in tables:
        check(table, width)
        check(table, width, terminal=True)


def test_v_shows_every_width(capsys):
    for level, shown in ((sensitivity.Level.USUAL, 2 * sensitivity.SHOWN), (sensitivity.Level.ALL, 40)):
        with running("pumice sensitivity", level):
            sensitivity._print(widths_alone(), "a task", sensitivity.Printer())
        assert capsys.readouterr().out.count("8 to 4") == shown
