"""Weights of a training loop of your own, to integers: ``python own_checkpoint.py [CHECKPOINT.pt] [FOLDER]``.

A checkpoint is a state dict with the names of `pumice.build_model`, as ``torch.save(model.state_dict(), ...)`` writes
it; other names and frameworks: docs/import.md. Without one the script makes its own first, in plain PyTorch: which of 8
channels fired most often? FOLDER (``counting`` if none is given) gets the integer program and its ONNX model.
"""

import sys
from pathlib import Path

import numpy as np
import pumice
import torch

CHANNELS = 8
SETTINGS = {"d_model": 16, "d_ssm": 16, "stride": 4}


def recordings(count: int, seed: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Tokens (L,) and times (L,) in microseconds of each recording, and the busiest channel of each (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CHANNELS, count)
    found = []
    for label in labels:
        tokens = np.where(rng.random(80) < 0.4, label, rng.integers(0, CHANNELS, 80))
        found.append((tokens, np.cumsum(rng.integers(100, 3000, 80))))
    return found, labels


def network() -> torch.nn.Module:
    """The float model, with initial weights."""
    return pumice.build_model("s5/tiny", num_classes=CHANNELS, vocab=CHANNELS, **SETTINGS)


def train(path: Path) -> None:
    """A training loop as anybody writes it."""
    torch.manual_seed(0)
    model = network()
    batches = list(pumice.make_batches(model, *recordings(240, seed=1), batch_size=24))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(8):
        for batch in batches:
            logits, targets = batch.apply(model)
            torch.nn.functional.cross_entropy(logits, targets).backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.save(model.state_dict(), path)


def main(checkpoint: Path, folder: Path) -> float:
    """Quantize the checkpoint; the share of decisions that are right in integers."""
    if not checkpoint.exists():
        train(checkpoint)
    model = network()
    model.load_state_dict(torch.load(checkpoint, weights_only=True))

    calibration = pumice.make_batches(model, *recordings(120, seed=1), batch_size=24)
    names = [f"channel {number}" for number in range(CHANNELS)]
    done = pumice.quantize(model, calibration, "w8a8", class_names=names)
    samples, labels = recordings(100, seed=2)
    decisions = np.array([trace.logits.argmax() for trace in pumice.simulate(done.program, samples)])
    accuracy = float((decisions == labels).mean())
    print(f"{accuracy:.1%} of {len(labels)} recordings are right, in integers")

    parity = pumice.compare(done.program, samples[:5], ["reference", "run", "onnx"])
    print(f"{parity.differing} values differ between {', '.join(parity.verdicts)}")
    folder.mkdir(exist_ok=True)
    pumice.save(done.program, folder / "program.npz")
    pumice.export_onnx(done.program, folder / "sequence.onnx")
    pumice.count(done.program, samples[:5]).print()
    return accuracy


if __name__ == "__main__":
    words = [Path(word) for word in sys.argv[1:]]
    main(*(words + [Path("counting.pt"), Path("counting")][len(words) :]))
