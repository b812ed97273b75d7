# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnxruntime"]
# ///
"""An exported model event by event, on a machine without Pumice: ``uv run onnx_host.py step.onnx RECORDING.npy``.

RECORDING.npy has a row an event: its time in microseconds, not decreasing, and its token (of a sensor of channels, the
channel). The state of the network goes in and comes out with every event, so that a stream may go on for ever; many
streams may share a batch. ``run.py`` beside exported models takes whole recordings, and other sensors.
"""

import json
import sys
from collections.abc import Iterator

import numpy as np
import onnxruntime

TYPES = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}


class Stream:
    """A network and its state.

    Args:
        path: of a ``step.onnx``.
    """

    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        about = self.session.get_modelmeta().custom_metadata_map
        if about["pairing"] != "causal":
            raise SystemExit(f"{path} pairs an event with the gap behind it, which a stream does not know yet")
        self.class_names = json.loads(about["class_names"])
        self.scale = 2.0 ** -int(about["logits_frac"])
        self.units = json.loads(about["gap_units_us"])
        self.ranges = json.loads(about["input_ranges"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        inputs = [value for value in self.session.get_inputs() if value.name.startswith("state/")]
        self.state = {value.name: np.zeros((1, *value.shape[1:]), TYPES[value.type]) for value in inputs}
        self.start: int | None = None
        self.before: dict[str, int] = {}

    def step(self, token: int, time_us: int) -> np.ndarray:
        """Logits (classes,) int64 after one event."""
        low, high = self.ranges["token"]
        if not low <= token <= high:
            raise SystemExit(f"token {token} lies outside {low} to {high}, which the model was made for")
        if self.start is None:
            self.start = time_us
        # Times are rounded to ticks before differences are taken, so that rounding never adds up.
        now = {gap: (2 * (time_us - self.start) + unit) // (2 * unit) for gap, unit in self.units.items()}
        gaps = {gap: np.array([now[gap] - self.before.get(gap, 0)]) for gap in self.units}
        if any(gap[0] < 0 for gap in gaps.values()):
            raise SystemExit(f"the event at {time_us} us comes after a later one; sort them by time")
        fed = {"token": np.array([token]), "valid": np.array([True]), **gaps, **self.state}
        given = dict(zip(self.outputs, self.session.run(None, fed), strict=True))
        self.state = {name: given["next" + name.removeprefix("state")] for name in self.state}
        self.before = now
        return given["logits"][0]


def decisions(model: str, recording: str) -> Iterator[tuple[int, str, float]]:
    """Time, class and score after each event."""
    stream = Stream(model)
    for time_us, token in np.load(recording, allow_pickle=False).tolist():
        logits = stream.step(token, time_us)
        best = int(logits.argmax())
        yield time_us, stream.class_names[best], float(logits[best]) * stream.scale


if __name__ == "__main__":
    told = ""
    for time_us, name, score in decisions(*sys.argv[1:3]):
        if name != told:
            print(f"{time_us / 1000:9.3f} ms  {name}  {score:.3f}")
            told = name
