"""`pumice check` as a user meets it."""

import json
import re

import pytest
from pumice.api.chips import check, chip_names
from pumice.cli.main import main
from pumice.program.random.loihi import random_loihi
from pumice.program.random.programs import random_program
from pumice.program.storage import save
from shown_tables import rows_of


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    save(random_program(3), "events.npz")
    save(random_loihi(2), "loihi.npz")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["check", *arguments])
        return ended.value.code, *capsys.readouterr()

    return run


def test_what_does_not_fit_is_told_with_a_cure_and_exit_code_1(call, tmp_path):
    code, out, err = call("program=events.npz", "hardware=loihi1", "out=fit.json")
    fit = check(random_program(3), "loihi1")
    assert code == 1
    assert re.fullmatch(r"pumice: the program does not fit loihi1: \d+ places break \d+ of its limits\n", err)
    for verdict in fit.verdicts:
        worst = verdict.worst
        assert [verdict.rule, worst.where, worst.limit, worst.actual, str(verdict.count)] in rows_of(out)
    for breach in fit.breaches:
        assert not breach.cure or f"cure: {breach.cure}" in out
    told = json.loads((tmp_path / "fit.json").read_text())
    assert (told["fits"], len(told["breaches"])) == (False, len(fit.breaches))
    assert told["limits"]["cores"]["source"]


def test_what_fits_ends_with_exit_code_0(call):
    code, out, err = call("program=loihi.npz", "hardware=spinnaker2")
    assert (code, err) == (0, "")
    assert "spinnaker2: fits" in out


def test_all_chips_in_a_line_each(call):
    code, out, _ = call("program=events.npz")
    assert code == 0
    for name in chip_names():
        (row,) = [row for row in rows_of(out) if row[0] == name]
        assert row[1] == ("fits" if check(random_program(3), name).fits else "does not fit")
    code, out, _ = call("program=events.npz", "--json")
    assert {name: entry["fits"] for name, entry in json.loads(out).items()} == {
        name: check(random_program(3), name).fits for name in chip_names()
    }


def test_flash_and_ram_of_the_part(call):
    full = random_program(3, weight_width=8, extreme=False)
    save(full, "full.npz")
    needed = sum(
        tensor.codes.size * (1 if tensor.width <= 8 else 2 if tensor.width <= 16 else 4 if tensor.width <= 32 else 8)
        for node in full
        for tensor in node.tensors()
    )
    assert call("program=full.npz", "hardware=stm32-like", f"flash={needed}", "ram=1M")[0] == 0
    assert call("program=full.npz", "hardware=stm32-like", f"flash={needed - 1}", "ram=1M")[0] == 1
    assert call("program=full.npz", "hardware=stm32-like", "ram=1")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "program"),
        (["program=events.npz", "run_dir=x"], "leave program or net out"),
        (["run_dir=nowhere"], "nowhere/program.npz"),
        (["program=events.npz", "hardware=loihi9"], "there is no chip 'loihi9'"),
        (["program=events.npz", "hardware=stm32-like", "flash=much"], "flash=much is no size"),
        (["program=events.npz", "hardware=stm32-like", "flash=0"], "flash=0 is no size"),
        (["program=events.npz", "flash=1M"], "name it by hardware="),
        (["program=events.npz", "wings=2"], "wings=2"),
    ],
)
def test_mistakes_are_sentences(call, arguments, part):
    code, _, err = call(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert part in err
