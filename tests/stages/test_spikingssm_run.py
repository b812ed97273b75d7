"""A spiking state-space network by the command line, from images to a report: every backend gives the same bits."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from pumice.cli.main import main


def write_idx(path, values):
    """A file as the published ones of MNIST: the kind and number of axes, their lengths, bytes."""
    lengths = b"".join(int(length).to_bytes(4, "big") for length in values.shape)
    with gzip.open(path, "wb") as file:
        file.write(bytes([0, 0, 8, values.ndim]) + lengths + values.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of 30 training and 6 test images: noise, bright in the row that the label names."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, count in (("train", 30), ("t10k", 6)):
        labels = np.arange(count) % 10
        pictures = rng.integers(0, 40, (count, 28, 28))
        pictures[np.arange(count), 2 * labels] += 200
        write_idx(root / f"{name}-images-idx3-ubyte.gz", pictures)
        write_idx(root / f"{name}-labels-idx1-ubyte.gz", labels)
    return root


def test_from_training_to_the_report(images, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "run",
                "task=smnist",
                "model=spikingssm/smnist",
                f"task.root={images}",
                f"run_dir={tmp_path / 'run'}",
                "model.d_model=4",
                "model.d_state=4",
                "training.epochs=1",
                "training.warmup_epochs=0",
                "quantize.qat.epochs=1",
                "simulate.backends=[reference,twin,run,step]",
                "export.step_samples=1",
                "logging.progress=false",
                "system.threads=1",
            ]
        )
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "differing values: 0" in printed
    assert "spikes a neuron and step: blocks/0/neurons" in printed
    found = json.loads((tmp_path / "run" / "simulate.json").read_text())
    assert found["differing"] == 0
    assert set(found["backends"]) == {"reference", "twin", "run", "step"}
    assert (tmp_path / "run" / "onnx" / "float.onnx").is_file()
    assert (tmp_path / "run" / "report.html").is_file()
