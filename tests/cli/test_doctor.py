"""`pumice doctor`: what it says is what is there, and what is missing is said with what to do."""

import json
import shutil
import sys
from importlib import metadata

import pytest
from pumice.api import doctor
from pumice.cli.main import main
from pumice.errors import BackendUnavailable
from pumice.version import __version__


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    return ended.value.code, *capsys.readouterr()


def findings(capsys):
    code, out, _ = call(capsys, "--json")
    return code, {entry["what"]: entry for entry in json.loads(out)}


def test_what_is_there(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path))
    code, found = findings(capsys)
    assert code == 0
    assert found["Python"]["found"].startswith(".".join(map(str, sys.version_info[:3])))
    for name in ("torch", "onnx", "brevitas", "tonic"):
        assert found[name]["found"] == metadata.version(name)
    free = shutil.disk_usage(tmp_path).free / (1 << 30)
    told = float(found["cache"]["found"].removeprefix(f"{tmp_path}, ").removesuffix(" GiB free"))
    assert abs(told - free) < 1
    assert found["Lava environment"]["found"].startswith("not yet")
    assert not list(tmp_path.iterdir())


def test_what_is_lacking_has_a_cure(capsys, monkeypatch):
    def none(*_):
        raise BackendUnavailable("there is none; install one")

    for name in ("find_compiler", "find_python"):
        monkeypatch.setattr(doctor, name, none)
    code, found = findings(capsys)
    assert code == 0
    for what in ("C compiler", "Python 3.10 for Lava"):
        assert (found[what]["state"], found[what]["cure"]) == ("lacking", "there is none; install one")
    code, out, _ = call(capsys)
    assert "C compiler: there is none; install one" in out


def test_what_pumice_needs_and_is_not_there_ends_with_exit_code_2(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    code, out, err = call(capsys)
    assert code == 2
    assert "no-such-package: pip install no-such-package" in out
    assert err.startswith("pumice: no-such-package: ")


def test_missing_extras_are_named(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda _: ["one>=1; extra == 'a'", "numpy; extra == 'b'", "numpy>=2"])
    found = {entry.what: entry for entry in doctor._extras()}
    assert (found["a"].state, found["a"].found, found["a"].cure) == (
        "lacking",
        "one not installed",
        "pip install 'pumice[a]'",
    )
    assert (found["b"].state, found["b"].found) == ("ok", "numpy")
    assert len(found) == 2


def test_a_folder_that_cannot_be_written_to(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert {entry.state for entry in doctor._places()} == {"faulty"}


def test_tables_fold_and_lose_nothing(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = call(capsys)
    first, *_ = lines = out.splitlines()
    start, end = first.index(__version__), first.rindex("ok")
    assert sys.executable in "".join(line[start:end].strip() for line in lines if len(line) == len(first) <= 60)
    assert "…" not in out
