"""Weights that were trained elsewhere: parity with the goldens, what goes on from them, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pumice
import pytest
import torch
import yaml
from pumice.cli.main import main
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.reference_weights import reference_state_dict
from pumice.models.real_s5.classifier import RealS5Classifier
from pumice.models.real_s5.config import RealS5Config
from pumice.models.real_s5.reference_weights import reference_names as real_names
from safetensors.torch import save_file

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-5
SMALL = ["model.d_model=8", "model.d_ssm=8", "model.block_size=4", "model.stride=4", "logging.tensorboard=false"]
TWENTY_TOKENS = ["task.sensor=[20]", "task.num_classes=5", "task.augmentation.roll.most=3", "system.threads=1", *SMALL]
GOLDEN_MODELS = {
    "shd_like": ["model.conj_sym=false"],
    "dvs_like": [
        "model.clip_eigs=true",
        "model.pooling=timepool",
        "model.head=timepool",
        "model.expansion=2",
        "model.conj_sym=false",
    ],
    "ssc_bn": ["model.norm=batch", "model.expansion=2"],
}


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def refused(capsys, *arguments):
    """The one sentence that is said."""
    assert call(*arguments) == 2
    text = capsys.readouterr().err
    assert text.startswith("pumice: ")
    assert text.count("\n") == 1
    return text


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "golden_event_ssm.npz", allow_pickle=False) as archive:
        return dict(archive)


def golden_tree(golden, name):
    """The golden model as the converter writes a checkpoint."""
    tree = {}
    for ours, theirs in (("param", "params"), ("batch_stats", "model_state/batch_stats")):
        prefix = f"model/{name}/{ours}/"
        tree |= {theirs + "/" + key[len(prefix) :]: value for key, value in golden.items() if key.startswith(prefix)}
    return tree | {"opt_state/0/count": np.array(3), "step": np.array(3)}


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_event_ssm_gives_the_golden_logits(golden, name, tmp_path, capsys):
    np.savez(tmp_path / "params.npz", **golden_tree(golden, name))
    code = call(
        "import",
        "event-ssm",
        tmp_path / "params.npz",
        *TWENTY_TOKENS,
        *GOLDEN_MODELS[name],
        f"run_dir={tmp_path / 'run'}",
    )
    assert code == 0
    assert "task.pairing=next" in capsys.readouterr().out
    run = pumice.open_run(tmp_path / "run")
    assert run.finished == ["train"]
    assert run.metrics["train"]["imported"]["format"] == "event-ssm"
    assert run.metrics["train"]["selected_on"] is None
    own = f"model/{name}/"
    tokens, dt, length = (
        (golden[own + key] for key in ("tok", "dt", "length"))
        if name == "ssc_bn"
        else (golden[key] for key in ("tok_pad", "dt_pad", "length"))
    )
    if name == "ssc_bn":  # -1 among its real events, which the reference reads as the last row of the embedding
        tokens = np.where(tokens < 0, 19, tokens)
    with torch.no_grad():
        logits = run.model(
            torch.from_numpy(np.array(tokens)).long().reshape(-1, tokens.shape[-1]),
            torch.from_numpy(np.array(dt)).reshape(-1, tokens.shape[-1]),
            torch.from_numpy(np.array(length)).long().reshape(-1),
        )
    expected = torch.from_numpy(golden[own + "logits"])
    torch.testing.assert_close(logits.reshape(expected.shape), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_settings_come_from_their_configuration(golden, tmp_path):
    np.savez(tmp_path / "params.npz", **golden_tree(golden, "shd_like"))
    ssm = {"discretization": "async", "d_model": 8, "d_ssm": 8, "ssm_block_size": 4, "num_stages": 2}
    ssm |= {"num_layers_per_stage": 2, "dropout": 0.1, "classification_mode": "pool", "prenorm": True}
    ssm |= {"batchnorm": False, "pooling_stride": 4, "pooling_mode": "avgpool", "state_expansion_factor": 1}
    init = {"C_init": "lecun_normal", "dt_min": 0.004, "dt_max": 0.1, "conj_sym": False, "clip_eigs": False}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"model": {"ssm": ssm, "ssm_init": init}, "task": {"name": "x"}}))
    settings = [*TWENTY_TOKENS[:3], f"run_dir={tmp_path / 'run'}"]
    assert call("import", "event-ssm", tmp_path / "params.npz", config, *settings) == 0
    found = pumice.open_run(tmp_path / "run").config["model"]
    assert found["name"] == "event-ssm"
    assert (found["conj_sym"], found["dropout"], found["stride"], found["norm"]) == (False, 0.1, 4, "layer")


@pytest.mark.parametrize(
    "value", ["${oc.env:HOME}", "[1]", "1,2", "choice(1,2)", {"_target_": "os.system"}, None, "a b", "x=1"]
)
def test_a_configuration_brings_single_values_alone(tmp_path, value, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"model": {"ssm": {"d_model": value}}}))
    assert "model.ssm.d_model" in refused(capsys, "import", "event-ssm", tmp_path / "params.npz", config)


def test_what_does_not_fit_is_named_with_both_shapes(golden, tmp_path, capsys):
    tree = golden_tree(golden, "shd_like")
    ssm = "params/encoder/stages_0/SequenceLayer_0/S5SSM_0"
    source = tmp_path / "params.npz"
    settings = [*TWENTY_TOKENS, *GOLDEN_MODELS["shd_like"], f"run_dir={tmp_path / 'run'}"]

    np.savez(source, **(tree | {f"{ssm}/B": np.zeros((4, 8, 2), np.float32)}))
    assert "(4, 8, 2), which is (8, 8, 2)" in refused(capsys, "import", "event-ssm", source, *settings)
    np.savez(source, **{name: value for name, value in tree.items() if name != f"{ssm}/C"})
    assert f"lack '{ssm[7:]}/C', of shape (8, 8, 2)" in refused(capsys, "import", "event-ssm", source, *settings)
    np.savez(source, **tree, **{"params/encoder/extra": np.zeros(3)})
    text = refused(capsys, "import", "event-ssm", source, *settings)
    assert "'encoder/extra' of shape (3,), for which the model has no place" in text
    np.savez(source, **(tree | {f"{ssm}/D": np.full(8, np.nan, np.float32)}))
    assert "not finite" in refused(capsys, "import", "event-ssm", source, *settings)
    np.savez(source, **(tree | {f"{ssm}/D": np.full(8, 0.1)}))
    assert "more digits than float32" in refused(capsys, "import", "event-ssm", source, *settings)
    np.savez(source, **(tree | {f"{ssm}/D": np.array([{}], object)}))
    assert "cannot be read" in refused(capsys, "import", "event-ssm", source, *settings)
    assert not (tmp_path / "run").exists()
    assert "family adlif" in refused(
        capsys, "import", "event-ssm", source, "task=spoken-digits-binned", "model=adlif/tiny", "training=adlif-shd"
    )
    assert "needs a file" in refused(capsys, "import", "event-ssm", "model=s5/tiny", "seed=1")


ADLIF = ["task=ecg", "task.root=nowhere", "model=adlif/ecg", "training=adlif-ecg", "model.hidden=8", "system.threads=1"]


def reference_checkpoint(path, network, hyper=None):
    """What the reference code would have saved of the same weights: layers l1, l2, out_layer."""
    state = {}
    for index, cell in enumerate(network.cells, 1):
        state[f"l{index}.weight"], state[f"l{index}.bias"] = cell.input.weight, cell.input.bias
        state[f"l{index}.recurrent"], state[f"l{index}.a"], state[f"l{index}.b"] = cell.recurrent, cell.a, cell.b
        for name in ("tau_u", "tau_w"):
            constant = getattr(cell, name)
            state[f"l{index}.{name}_trainer.weight"] = constant.p
            state[f"l{index}.{name}_trainer.tau_max"] = torch.tensor(int(constant.most))
            state[f"l{index}.{name}_trainer.tau_min"] = torch.tensor(int(constant.least))
    out = network.readout
    state |= {"out_layer.weight": out.linear.weight, "out_layer.bias": out.linear.bias}
    state |= {f"out_layer.tau_u_trainer.tau_{end}": torch.tensor(out.tau.most) for end in ("min", "max")}
    state["out_layer.tau_u_trainer.weight"] = torch.full((out.tau.count,), out.tau.most)
    state = {name: value.detach() for name, value in state.items()}
    torch.save({"state_dict": state, "hyper_parameters": hyper, "epoch": 3}, path)
    return state


class Settings:
    """Stands for the configuration object that the reference's checkpoints hold."""

    def __init__(self):
        self.content = {"q": 120}


def test_se_adlif_checkpoint(tmp_path, capsys):
    network = build_adlif(
        {"cell": "se-adlif", "layers": 2, "hidden": 8, "tau_out": [3, 3]}, num_classes=6, in_features=4, seed=5
    )
    source, run_dir = tmp_path / "best.ckpt", f"run_dir={tmp_path / 'run'}"
    state = reference_checkpoint(source, network, Settings())
    two = ["model.layers=2"]
    assert call("import", "se-adlif", source, *ADLIF, *two, run_dir) == 0
    run = pumice.open_run(tmp_path / "run")
    for name, value in network.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name

    other = [*ADLIF, *two, f"run_dir={tmp_path / 'other'}"]
    assert "'l2.a' of shape (8,), for which the model has no place" in refused(
        capsys, "import", "se-adlif", source, *other, "model.layers=1"
    )
    text = refused(capsys, "import", "se-adlif", source, *other, "model.tau_w=[60,200]")
    assert "model.tau_w=[60,300]" in text
    assert "out_layer" in refused(capsys, "import", "se-adlif", source, *other, "model.tau_out=[15,15]")
    torch.save({"state_dict": state | {"l1.tau_u_trainer.weight": torch.full((8,), 20.0)}}, source)
    assert "were not trained" in refused(capsys, "import", "se-adlif", source, *other)
    torch.save({"state_dict": state | {"l1.weight": Settings()}}, source)
    assert "'l1.weight' is no tensor" in refused(capsys, "import", "se-adlif", source, *other)


@pytest.mark.parametrize("kind", ["se", "ef", "lif"])
def test_golden_adlif_through_the_names_of_its_checkpoints(tmp_path, kind):
    with np.load(GOLDEN / "golden_seadlif.npz", allow_pickle=False) as archive:
        golden = {name: torch.from_numpy(np.asarray(value)) for name, value in archive.items()}
    state = {}
    for name, value in golden.items():
        if name.startswith("param_") and (kind != "lif" or not name.startswith(("param_a", "param_b", "param_tau_w"))):
            state["l1." + name[6:].replace("trainer_", "trainer.")] = value
        if name.startswith("li_param_"):
            state["out_layer." + name[9:].replace("trainer_", "trainer.")] = value
    if kind == "lif":
        state["l1.bias"] = golden["param_bias"]
    cell = {"se": "se-adlif", "ef": "ef-adlif", "lif": "lif"}[kind]
    settings = {"cell": cell, "hidden": 8, "q": 60.0 if kind == "ef" else 120.0}
    network = build_adlif(settings, num_classes=3, in_features=5, seed=0)
    network.load_state_dict(reference_state_dict(network, state))
    potentials, _ = network.sequence(golden["x"])
    torch.testing.assert_close(potentials, golden[f"{kind}_li"], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.thorough
def test_the_port_is_evaluated_by_both_recurrences(small_run, tmp_path, capsys):
    ssm = {"discretization": "async", "d_model": 8, "d_ssm": 8, "ssm_block_size": 4, "num_stages": 2, "dropout": 0.1}
    ssm |= {"num_layers_per_stage": 2, "classification_mode": "pool", "prenorm": True, "batchnorm": False}
    ssm |= {"pooling_stride": 4, "pooling_mode": "avgpool", "state_expansion_factor": 1}
    config, source = tmp_path / "config.yaml", tmp_path / "model.pt"
    config.write_text(yaml.safe_dump({"model": {"ssm": ssm, "ssm_init": {"dt_min": "4e-3", "dt_max": 0.1}}}))
    settings = {"d_model": 8, "d_ssm": 8, "stride": 4, "vocab": 700}
    model = RealS5Classifier(RealS5Config(num_classes=20, **settings))
    state = {theirs: model.state_dict()[own] for own, theirs in real_names(model).items()}
    state["encoder.encoder.weight"] = torch.cat([torch.zeros(1, 8), state["encoder.encoder.weight"]])
    torch.save({"state_dict": state}, source)

    run_dir = f"run_dir={tmp_path / 'run'}"
    task = [item for item in small_run if item.startswith("task.")]
    assert call("import", "event-ssm-torch", source, config, *task, run_dir) == 0
    assert "recurrence as-trained: " in capsys.readouterr().out
    run = pumice.open_run(tmp_path / "run")
    assert run.config["model"]["discretization"] == "zoh"
    assert run.config["model"]["dt_min"] == 0.004
    found = run.metrics["train"]["recurrences"]
    assert {name: entry["samples"] for name, entry in found.items()} == {"exact": 40, "as-trained": 40}
    assert all(torch.equal(run.model.state_dict()[own], value) for own, value in model.state_dict().items())
    assert call("evaluate", run_dir) == 0
    figures = pumice.open_run(tmp_path / "run").metrics["evaluate"]["test"]
    assert figures["correct"] == found["exact"]["correct"]

    assert (
        call("import", "event-ssm-torch", source, config, "task=shd", "task.root=nowhere", f"run_dir={tmp_path / 'b'}")
        == 0
    )
    assert "not compared" in capsys.readouterr().out
    assert pumice.open_run(tmp_path / "b").metrics["train"]["recurrences"] is None
    ssm |= {"input_gate": True, "input_gate_mode": "energy_aware"}
    config.write_text(yaml.safe_dump({"model": {"ssm": ssm, "ssm_init": {"dt_min": 0.004, "dt_max": 0.1}}}))
    assert "input_gate_mode" in refused(capsys, "import", "event-ssm-torch", source, config, *task, run_dir)


@pytest.mark.thorough
def test_own_names_and_all_that_goes_on_from_there(small_run, tmp_path, capsys):
    settings = [item for item in small_run if not item.startswith(("training.epochs", "training.warmup"))]
    model = pumice.build_model("s5/tiny", num_classes=20, vocab=700, d_model=8, d_ssm=8, stride=4, dropout=0.1, seed=3)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    torch.save(
        {"state_dict": {f"model.{name}": value for name, value in model.state_dict().items()}}, tmp_path / "w.pt"
    )
    for suffix in ("safetensors", "pt"):
        run_dir = f"run_dir={tmp_path / suffix}"
        assert call("import", "weights", tmp_path / f"w.{suffix}", *settings, "quantize.qat.epochs=0", run_dir) == 0
        loaded = pumice.load_model(tmp_path / suffix).state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    assert call("import", "weights", tmp_path / "w.pt", run_dir) == 0  # the same again
    assert call("evaluate", f"checkpoint={tmp_path / 'w.pt'}", run_dir) == 0  # and once more, with its figures
    figures = pumice.open_run(tmp_path / "pt").metrics["evaluate"]["test"]
    assert set(figures["top"]) == {"2", "3", "5", "10"}
    assert figures["batches"]["size"] == pumice.open_run(tmp_path / "pt").config["training"]["eval_batch_size"]
    assert "name the file" in refused(capsys, "evaluate", "format=event-ssm", run_dir)
    assert "format=other is unknown" in refused(
        capsys, "evaluate", f"checkpoint={tmp_path / 'w.pt'}", "format=other", run_dir
    )
    torch.save(
        pumice.build_model("s5/tiny", num_classes=20, vocab=700, d_model=8, d_ssm=8, stride=4).state_dict(),
        tmp_path / "v.pt",
    )
    assert "holds other weights" in refused(capsys, "import", "weights", tmp_path / "v.pt", run_dir)
    for verb in ("evaluate", "quantize", "simulate"):
        assert call(verb, run_dir, "simulate.backends=[reference,run]") == 0, capsys.readouterr().err
    assert "chose the weights" not in capsys.readouterr().out
    metrics = json.loads((tmp_path / "pt" / "metrics.json").read_text())
    assert metrics["evaluate"]["selected_on"] is None
    assert json.loads((tmp_path / "pt" / "simulate.json").read_text())["differing"] == 0


FLAX = """
import numpy as np
def restore_checkpoint(path, target):
    encoder = {"encoder": {"embedding": np.ones((2, 3), np.float32)}}
    return {"params": {"encoder": encoder}, "model_state": {}, "opt_state": [np.zeros(3)], "step": 4}
"""


def test_the_converter_writes_the_tree_flat(tmp_path):
    package = tmp_path / "site" / "flax" / "training"
    package.mkdir(parents=True)
    (package / "checkpoints.py").write_text(FLAX)  # what the script needs of flax
    script = Path(pumice.__file__).parent / "examples" / "event_ssm_checkpoint.py"
    target = tmp_path / "params.npz"
    command = [sys.executable, str(script), str(tmp_path), str(target)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path / "site")}, check=True)
    with np.load(target, allow_pickle=False) as archive:
        assert {name: array.shape for name, array in archive.items()} == {"params/encoder/encoder/embedding": (2, 3)}


def test_code_in_a_file_is_never_run(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": {"a": torch.zeros(3)}, "hyper_parameters": Evil()}, tmp_path / "w.pt")
    assert "code, which is never run" in refused(capsys, "import", "weights", tmp_path / "w.pt")
    torch.save({"a": Evil()}, tmp_path / "w.pt")
    assert "code, which is never run" in refused(capsys, "import", "weights", tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "w.pkl").write_bytes(b"")
    assert "no known kind" in refused(capsys, "import", "weights", tmp_path / "w.pkl")
