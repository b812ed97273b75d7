"""Events of your own in arrays, from training to a live stream: ``python own_events.py [FOLDER]``.

The sensor has 32 channels and sees pulses that sweep up, sweep down, or stay where they are. Put your own recordings
in the place of `recordings`: arrays of times in microseconds and channels, and a label for each. FOLDER (``sweeps`` if
none is given) gets the integer program, the ONNX model of a single event, and one recording to try it on.
"""

import sys
from pathlib import Path

import numpy as np
import pumice
import torch

CHANNELS, CLASSES = 32, ["up", "down", "still"]


def recordings(count: int, seed: int) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """``count`` recordings (columns t in microseconds and x), and their classes (count,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    found = []
    for label in labels:
        t = np.sort(rng.integers(0, 200_000, rng.integers(80, 160)))
        slope = {0: 1.0, 1: -1.0, 2: 0.0}[int(label)] * rng.uniform(0.6, 1.0)
        x = rng.integers(8, 24) + slope * (t / 200_000 - 0.5) * CHANNELS + rng.normal(0, 1.5, len(t))
        found.append({"t": t, "x": np.clip(np.rint(x), 0, CHANNELS - 1).astype(np.int64)})
    return found, labels


def main(folder: Path) -> float:
    """Do it all; the accuracy of the integer program on recordings that it has not seen."""
    data = pumice.make_data(
        recordings(240, seed=1),
        recordings(90, seed=2),
        sensor=[CHANNELS],
        class_names=CLASSES,
        validation={"by": "sample", "fraction": 0.2},
        batch_size=24,
    )
    torch.manual_seed(0)
    model = pumice.build_model("s5/tiny", num_classes=len(CLASSES), d_model=16, d_ssm=16, **data.model_inputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(8):
        for batch in data.train_dataloader():
            logits, targets = batch.apply(model)
            torch.nn.functional.cross_entropy(logits, targets).backward()
            optimizer.step()
            optimizer.zero_grad()

    done = pumice.quantize(model, data, "w8a8")
    samples, labels = data.program_samples("test"), data.labels("test")
    decisions = np.array([trace.logits.argmax() for trace in pumice.simulate(done.program, samples)])
    accuracy = float((decisions == labels).mean())
    print(f"{accuracy:.1%} of {len(labels)} recordings are right, in integers")

    parity = pumice.compare(done.program, samples[:10], ["reference", "twin", "run", "onnx"], frozen=done.frozen)
    print(f"{parity.differing} values differ between {', '.join(parity.verdicts)}")

    folder.mkdir(exist_ok=True)
    pumice.save(done.program, folder / "program.npz")
    pumice.export_onnx(done.program, folder / "step.onnx", form="step")
    events = recordings(1, seed=3)[0][0]
    np.save(folder / "recording.npy", np.stack([events["t"], events["x"]], axis=1))

    stream = pumice.Simulator(done.program)  # the state of an endless stream, an event at a time
    for channel, time_us in zip(events["x"], events["t"], strict=True):
        logits, _ = stream.step(channel, time_us)
    print(f"after the last event: {done.program.class_names[int(logits.argmax())]}")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sweeps"))
