"""Every verb that prints a table without a run folder: at 60, 80 and 120 columns, with every number in it."""

import contextlib
import io

import numpy as np
import pytest
from pumice.cli.main import main
from pumice.export.netx import write_net
from pumice.program.random.loihi import random_loihi
from pumice.program.random.programs import random_program
from pumice.program.storage import save
from shown_tables import WIDTHS, check, recorded

LOADABLE = {"weight_exponent": 0, "weight_bits": 8, "hidden": 9, "inputs": 6, "value": "dense", "extreme": False}
LOADABLE |= {"layers": 2, "input": "counts"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    save(random_program(3), folder / "a.npz")
    save(random_program(4), folder / "b.npz")
    save(random_loihi(3), folder / "loihi.npz")
    write_net(random_loihi(3, **LOADABLE), folder / "a.net")
    np.save(folder / "input.npy", np.random.default_rng(0).integers(0, 40, (3, 30, 6)))
    return folder


COMMANDS = {
    "inspect": ["inspect", "a.npz"],
    "diff": ["diff", "a.npz", "b.npz"],
    "check": ["check", "program=a.npz"],
    "check of a chip": ["check", "program=a.npz", "hardware=loihi1"],
    "check of what fits": ["check", "program=loihi.npz", "hardware=spinnaker2"],
    "count": ["count", "net=a.net", "input=input.npy"],
    "simulate": ["simulate", "net=a.net", "input=input.npy", "backends=[reference,run]"],
    "export netx": ["export", "target=netx", "net=a.net", "out=network.net"],
    "doctor": ["doctor"],
    "data show": ["data", "show", "out=.", "samples=1"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_its_tables_lose_nothing(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out, recorded() as tables, pytest.raises(SystemExit) as ended:
        main(COMMANDS[name])
    assert ended.value.code in (0, 1), out.getvalue()
    assert tables
    for table in tables:
        for width in WIDTHS:
            check(table, width)
            check(table, width, terminal=True)
