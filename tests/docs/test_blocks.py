"""Every python block of the documentation runs as it stands there, page by page, on a small model and its program.

A page speaks of `program`, `samples`, `model` as given; `given` says what these are here. Others read their own files.
"""

import re
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pumice.models.s5.build import build_s5
from pumice.program import save
from pumice.program.random.networks import random_network
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing

ROOT = Path(__file__).parents[2]
FILES = [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {path.stem: blocks for path in FILES if (blocks := BLOCK.findall(path.read_text(encoding="utf-8")))}
ELSEWHERE = {
    "python": "tests/docs/test_python.py runs these blocks, on the embedded data",
    "onnx": "tests/export/onnx/test_docs.py runs these lines, with onnxruntime alone",
    "loihi": "lava-dl is not here; tests/export/netx/run_net.py loads such files in an environment of its own",
}
NAMES = ["one", "two", "three"]


@pytest.fixture(scope="module")
def small():
    """A model, its batch and its program, samples of which one sample is made of the batch's first row."""
    settings = {"d_model": 8, "d_ssm": 8, "block_size": 4, "stride": 2}
    model = build_s5(settings, num_classes=3, vocab=12, seed=0).eval()
    rng = np.random.default_rng(0)
    tokens, times = rng.integers(0, 12, (4, 60)), 500 * rng.integers(0, 4, (4, 60)).cumsum(axis=1)
    dt = torch.from_numpy(np.diff(times, axis=1, prepend=times[:, :1]) / 1000).float()
    inputs = Inputs(torch.from_numpy(tokens), dt, torch.full((4,), 60), dt)
    qat = calibrate(prepare(model, QuantizationConfig(max_dead_zone=1.0), Timing(tick_ms=0.5)), [inputs])
    samples = list(zip(tokens, times, strict=True))
    return SimpleNamespace(model=model, inputs=inputs, program=lower(qat, NAMES), samples=samples)


@pytest.fixture
def given(small):
    """By page, the names that it takes for granted."""
    tokens, dt, lengths, pool_dt = small.inputs
    batch = {"model": small.model, "names": NAMES, "tokens": tokens, "dt": dt, "lengths": lengths, "pool_dt": pool_dt}
    stream = {"tokens": small.samples[0][0], "times_us": small.samples[0][1], "token": 3, "time_us": 0}
    counted: dict[str, object] = {"samples": small.samples}
    exec(PAGES["op_counts"][0], counted)  # energies are of the operations that the page before counted
    clocked = replace(random_network(0, value="dense", input="counts", inputs=5), step_us=1000)
    return {
        "data": {"program": clocked, "size": 5, "channels": np.array([0, 4, 4]), "times": np.array([0, 900, 7200])},
        "quantization": batch,
        "simulator": {**stream, "samples": small.samples},
        "streaming": {"samples": small.samples},
        "op_counts": {"samples": small.samples},
        "energy": counted,
    }


@pytest.mark.parametrize("page", sorted(PAGES))
def test_blocks_run_as_written(page, small, tmp_path, monkeypatch, request):
    blocks = [compile(block, f"{page}, block {number}", "exec") for number, block in enumerate(PAGES[page], 1)]
    if page in ELSEWHERE:
        pytest.skip(ELSEWHERE[page])
    monkeypatch.chdir(tmp_path)
    save(small.program, tmp_path / "program.npz")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    if page == "README":
        with tarfile.open(ROOT / "tests" / "golden" / "runs" / "s5.tar.xz") as archive:
            archive.extractall(tmp_path / "runs" / "spoken-digits" / "s5-tiny-seed0", filter="data")
    names = {"__name__": page, **request.getfixturevalue("given").get(page, {})}
    for block in blocks:
        exec(block, names)
