"""The verbs ``pumice sdn ...``, from data to a reduced network."""

import hashlib
import json

import pytest
import torch
from pumice.cli.main import main
from pumice.models.sdn import load_sdn, read_sdn
from pumice.stages import sdn

FILE = "data/training-mem-T64-N(0.0,1.0)-40-tau_0.125.pt"


@pytest.fixture
def pumice(tmp_path, monkeypatch, capsys):
    """Run the command in a folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["sdn", *arguments])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


@pytest.fixture
def trained(pumice):
    assert pumice("generate", "data", "samples=40", "steps=64", "tau=0.125")[0] == 0
    assert pumice("generate", "data", "name=test", "samples=40", "steps=64", "tau=0.125")[0] == 0
    test = FILE.replace("training", "test")
    train = ("train", f"training={FILE}", f"test={test}", "save=exp", "epochs=2", "batch_size=8", "d_model=4")
    return train, pumice(*train)


def test_the_whole_way(pumice, trained, tmp_path):
    train, (code, out, error) = trained
    assert (code, error) == (0, "")
    assert "epoch   2/2" in out
    record = json.loads((tmp_path / "exp" / "stages" / "sdn-train.json").read_text())
    digest = hashlib.sha256((tmp_path / "exp" / "best.safetensors").read_bytes()).hexdigest()
    assert record["outputs"] == {"best.safetensors": digest}
    assert record["settings"]["config"] == {"n_layers": 1, "d_model": 4, "kernel_size": 8}
    assert set(record["inputs"]) == {FILE[5:], FILE[5:].replace("training", "test")}
    assert 0 < record["figures"]["test"]["no_memory"] < 1
    data = json.loads((tmp_path / FILE).with_suffix(".json").read_text())
    assert data["outputs"] == {FILE[5:]: record["inputs"][FILE[5:]]}
    assert {"python", "torch", "threads"} <= data["versions"].keys()

    assert "epoch" not in pumice(*train)[1]  # it has finished

    code, out, error = pumice("reduce", "exp", "sweeps=2")
    assert (code, error) == (0, "")
    network, info = read_sdn(tmp_path / "exp" / "sdn.safetensors")
    assert (network.tau, network.sweeps, network.width) == (0.125, 2, 4)
    assert info["trained"] == digest
    assert info["check"]["float64"] < 1e-10

    code, out, error = pumice("evaluate", "exp/sdn.safetensors", "sequences=3", "steps=50", "out=figures.json")
    assert (code, error) == (0, "")
    told = json.loads((tmp_path / "figures.json").read_text())
    assert set(told["figures"]) == {"network", "no memory", *(f"{k} sweeps alone" for k in (1, 2, 4, 12))}
    found = told["figures"]["network"]["N(0, 1)"]
    assert found["no_memory"] == told["figures"]["no memory"]["N(0, 1)"]["agreement"]
    assert f"{100 * found['agreement']:.3f}" in out


def test_a_changed_data_file_is_noticed(pumice, trained, tmp_path):
    train, _ = trained
    data = torch.load(tmp_path / FILE, weights_only=True)
    torch.save({**data, "spike": data["spike"] * 0}, tmp_path / FILE)
    code, _, error = pumice(*train)
    assert code == 2
    assert "other inputs" in error


def test_the_network_that_comes_with_pumice_is_evaluated_by_its_tau(pumice):
    code, out, error = pumice("evaluate", "tau=0.125", "sequences=2", "steps=40", "sweeps=0")
    assert (code, error) == (0, "")
    assert "near, constant" in out


def test_a_published_network_is_imported(pumice, tmp_path):
    convs = {"conv1": torch.nn.Conv1d(1, 8, 8), "conv2": torch.nn.Conv1d(8, 8, 1), "conv3": torch.nn.Conv1d(8, 1, 1)}
    torch.save(torch.nn.ModuleDict(convs).state_dict(), tmp_path / "fused.pth")
    code, out, error = pumice("import", "fused.pth", "tau=0.125", "out=sdn.safetensors", "sweeps=1")
    assert (code, error) == (0, "")
    assert "fused network" in out
    assert load_sdn(tmp_path / "sdn.safetensors").sweeps == 1
    told = sdn.describe(tmp_path / "sdn.safetensors")
    assert told["sha256"] == hashlib.sha256((tmp_path / "fused.pth").read_bytes()).hexdigest()
    assert told["parameters"] == 153


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate"], "root is missing"),
        (["generate", "data", "tau=2"], "tau=2.0"),
        (["generate", "data", "tau=x"], "tau=x has to be a number"),
        (["generate", "data", "samples=1.5"], "samples=1.5 has to be a whole number"),
        (["generate", "data", "more=1"], "'more=1' is no setting of 'sdn generate'"),
        (["train", "save=exp"], "training is missing"),
        (["train", "training=absent.pt", "save=exp"], "does not exist"),
        (["train", "training=absent.pt", "save=exp", "d_model=0"], "d_model=0"),
        (["reduce", "exp"], "does not exist"),
        (["evaluate"], "0.125"),
        (["evaluate", "tau=0.3"], "no surrogate network for tau=0.3"),
        (["evaluate", "absent.safetensors"], "does not exist"),
        (["evaluate", "absent.safetensors", "tau=0.125"], "leave tau out"),
        (["evaluate", "tau=0.125", "sequences=0"], "sequences=0"),
        (["import", "absent.pth", "out=x.safetensors"], "tau is missing"),
        (["import", "absent.pth", "tau=0.125"], "out is missing"),
        (["import", "absent.pth", "tau=0.125", "out=x.safetensors"], "does not exist"),
        (["convert"], "needs an action"),
    ],
)
def test_mistakes_are_one_sentence(pumice, arguments, says):
    code, _, error = pumice(*arguments)
    assert code == 2
    assert error.startswith("pumice: ")
    assert says in error
    assert error.count("\n") == 1


def test_help(pumice):
    for verb in ("generate", "train", "reduce", "evaluate", "import"):
        code, out, _ = pumice(verb, "--help")
        assert code == 0
        assert f"usage: pumice sdn {verb}" in out
