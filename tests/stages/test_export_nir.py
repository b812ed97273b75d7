"""``pumice export target=nir``: float weights with or without a program, vectors beside, and refusals."""

import json
import shutil

import h5py
import numpy as np
import pytest
from pumice.cli.main import main
from pumice.export.nir import read_model
from pumice.train.weights import read_weights

pytest.importorskip("nir")
QUICK = ["task=bsd", "task.samples=100", "task.num_classes=3", "model=adlif/bsd-lif", "model.hidden=6"]
QUICK += [
    "training=adlif-bsd",
    "training.epochs=1",
    "training.batch_size=16",
    "system.threads=1",
    "logging.progress=false",
]
QUICK += ["quantize.qat.epochs=0", "quantize.max_dead_zone=1"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nir") / "run"
    assert call("train", *QUICK, f"run_dir={folder}") == 0
    return folder


def test_weights_go_alone_and_then_with_the_program(folder, capsys):
    assert call("export", "target=nir", *QUICK, f"run_dir={folder}") == 0
    assert "no program: without integer codes" in capsys.readouterr().out
    state = read_model(folder / "nir/network.nir").state_dict()
    for name, values in read_weights(folder / "weights.safetensors").tensors.items():
        np.testing.assert_array_equal(values.numpy(), state[name].numpy())
    vectors = np.load(folder / "nir/network_io.npz")
    assert {name.split(".")[1] for name in vectors} == {"0", "1", "2", "3"}
    assert vectors["x.0"].shape[0] == vectors["spikes.0.cells_0.lif"].shape[0] == vectors["potentials.0"].shape[0]

    assert call("quantize", *QUICK, f"run_dir={folder}") == 0
    assert call("export", "target=nir", *QUICK, f"run_dir={folder}") == 0  # another input: done anew
    assert "with the integer codes of program.npz" in capsys.readouterr().out
    record = json.loads((folder / "stages/export-nir.json").read_text())
    with h5py.File(folder / "nir/network.nir") as file:
        told = file["node/metadata/pumice/program/digest"][()].decode()
    assert told == record["figures"]["program"]


def test_other_models_and_settings_are_refused(tmp_path, capsys):
    for words, sentence in (
        (["model=adlif/bsd"], "cells/0: its neurons have an adaptation, which no NIR node has"),
        (["nir.dt=0"], "nir.dt=0.0 has to be above 0"),
        (["nir.samples=0"], "nir.samples=0 has to be at least 1"),
    ):
        assert call("export", "target=nir", *QUICK, *words, f"run_dir={tmp_path / 'run'}") == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.strip().splitlines()) == 1
    assert call("export", "target=nir", "program=none.npz", f"out={tmp_path}") == 2
    assert "target=nir writes the float network" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_own_nodes_go_on_request_and_come_back_with_every_weight(small_upto, small_run, tmp_path, capsys):
    shutil.copytree(small_upto("train"), tmp_path / "run")
    target = tmp_path / "run" / "nir" / "network.nir"
    assert call("export", "target=nir", f"run_dir={tmp_path / 'run'}") == 2
    assert "or with nodes of Pumice's own by nir.namespace=pumice" in capsys.readouterr().err
    assert call("export", "target=nir", f"run_dir={tmp_path / 'run'}", "nir.namespace=norse") == 2
    assert "nir.namespace=norse is unknown" in capsys.readouterr().err
    assert not target.exists()
    assert call("export", "target=nir", f"run_dir={tmp_path / 'run'}", "nir.namespace=pumice", "nir.samples=2") == 0
    assert "of the namespace pumice, which other readers refuse by name" in capsys.readouterr().out
    assert {name.rpartition(".")[2] for name in np.load(target.with_name("network_io.npz"))} == {"0", "1"}

    task = [word for word in small_run if word.startswith(("task", "training", "logging", "system"))]
    assert call("import", "nir", str(target), *task, f"run_dir={tmp_path / 'back'}") == 0
    assert "with nodes of its own namespace" in capsys.readouterr().out
    first, second = (read_weights(tmp_path / run / "weights.safetensors") for run in ("run", "back"))
    assert first.tensors.keys() == second.tensors.keys()
    for name, values in first.tensors.items():
        np.testing.assert_array_equal(values.numpy(), second.tensors[name].numpy())
