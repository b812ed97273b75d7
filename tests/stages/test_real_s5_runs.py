"""Weights of the PyTorch port, from its files to figures, by the command line."""

from __future__ import annotations

import json

import numpy as np
import pumice
import pytest
import torch
import yaml
from pumice.cli.main import main
from pumice.export.lava.runtime.parts import split
from pumice.models.real_s5.classifier import RealS5Classifier
from pumice.models.real_s5.config import RealS5Config
from pumice.models.real_s5.reference_weights import reference_names
from pumice.program import load, reference
from pumice.program.nodes import DiagonalSSM
from runs import check_same_integers

pytestmark = pytest.mark.thorough


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def finished(small_run, tmp_path_factory):
    """The folder of an import that went through all stages."""
    folder = tmp_path_factory.mktemp("port")
    ssm = {"discretization": "async", "d_model": 8, "d_ssm": 8, "ssm_block_size": 4, "num_stages": 2, "dropout": 0.1}
    ssm |= {"num_layers_per_stage": 2, "classification_mode": "timepool", "prenorm": True, "batchnorm": False}
    ssm |= {"pooling_stride": 4, "pooling_mode": "timepool", "state_expansion_factor": 1}
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"model": {"ssm": ssm, "ssm_init": {"dt_min": 0.004, "dt_max": 0.1}}})
    )
    settings = {"d_model": 8, "d_ssm": 8, "stride": 4, "vocab": 700, "head": "timepool", "pooling": "timepool"}
    model = RealS5Classifier(RealS5Config(num_classes=20, **settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith(".D"):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    state = {theirs: model.state_dict()[own] for own, theirs in reference_names(model).items()}
    state["encoder.encoder.weight"] = torch.cat([torch.zeros(1, 8), state["encoder.encoder.weight"]])
    torch.save({"state_dict": state}, folder / "model.pt")
    run_dir = f"run_dir={folder / 'run'}"
    kept = [item for item in small_run if not item.startswith(("model.", "simulate."))]
    more = ["quantize.qat.epochs=1", "quantize.max_dead_zone=1", "export.step_samples=2", "logging.progress=false"]
    more.append("simulate.backends=[reference,twin,run,step,onnx,c]")
    files = folder / "model.pt", folder / "config.yaml"
    assert call("import", "event-ssm-torch", *files, *kept, *more, run_dir) == 0
    assert call("quantize", run_dir) == 0
    assert call("simulate", run_dir) == 0
    assert call("export", "target=onnx", run_dir) == 0
    assert call("count", run_dir) == 0
    assert call("report", run_dir) == 0
    return folder / "run"


def test_every_backend_gives_the_same_integers(finished):
    check_same_integers(finished)


def test_modes_are_real_and_cost_half(finished):
    """Products with B of a sample, by an own count over the reference's events: P H an event with a gap."""
    program = load(finished / "program.npz")
    spaces = program.of_type(DiagonalSSM)
    assert all(node.real and node.discretization == "zoh" for node in spaces)
    counts = {node["name"]: node for node in json.loads((finished / "counts.json").read_text())["integer"]["nodes"]}
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 700, 50), np.cumsum(rng.integers(0, 3000, 50))
    (trace,) = reference.run(program, [sample])
    assert trace.states["layers/0/ssm"].shape == (50, 8)
    assert counts["layers/0/ssm"]["state_bits"] == 8 * spaces[0].state_width


def test_every_layer_is_a_part_of_lava(finished):
    parts = [part.name for part in split(load(finished / "program.npz"))]
    assert parts == ["front", *(f"layers/{number}" for number in range(4)), "readout"]


def test_the_run_tells_what_it_cost(finished):
    run = pumice.open_run(finished)
    report = json.loads((finished / "lowering.json").read_text())
    assert [entry["layer"] for entry in report["layers"]] == [f"layers.{number}" for number in range(4)]
    assert all(entry["growing_modes"] == 0 for entry in report["layers"])
    page = (finished / "report.html").read_text()
    assert all(f"layer {number}" in page for number in range(4))
    assert run.metrics["quantize"]["ptq"]["test"]["sqnr_db"] > 15
