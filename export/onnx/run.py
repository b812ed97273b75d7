"""From recordings to classes with nothing but numpy and onnxruntime: python run.py [--json] [RECORDING ...]

``encode.py`` beside it says what a recording is. Without recordings those of examples.npz are run, and their logits
compared with what the simulator gave: exit code 1 if one differs. How events become what the model reads stands in the
model's metadata.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).parent))
from encode import Encoder, Refused, read

MODEL, EXAMPLES = "sequence.onnx", "examples.npz"


class Host(Encoder):
    """A model with what its metadata say of its input."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        about = self.session.get_modelmeta().custom_metadata_map
        super().__init__(about)
        self.scale = 2.0 ** -int(about["logits_frac"])
        self.inputs = [entry.name for entry in self.session.get_inputs()]

    def logits(self, sample: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Logits (classes,) int64 of tokens or values and their times."""
        values, times = sample
        fed = {}
        for name, unit in self.gaps.items():
            ticks = (2 * (times - times[:1]) + unit) // (2 * unit)
            fed[name] = np.diff(ticks) if self.pairing == "next" else np.diff(ticks, prepend=ticks[:1])
        if self.pairing == "next" and self.gaps:
            values = values[:-1]
        name = "value" if self.values is not None else "token"
        fed[name] = values if self.values is None else self.codes(values)
        for key, (low, high) in self.ranges.items():
            if key in fed and fed[key].size and not low <= fed[key].min() <= fed[key].max() <= high:
                raise Refused(f"{key} lies between {fed[key].min()} and {fed[key].max()}, outside {low} to {high}")
        fed = {key: array[None].astype(np.int32 if key == "value" else np.int64) for key, array in fed.items()}
        fed["valid"] = np.ones((1, len(values)), bool)
        (found,) = self.session.run(["logits"], {key: array for key, array in fed.items() if key in self.inputs})
        return found[0]


def try_examples(host: Host, path: Path) -> bool:
    """Run the stored recordings and compare; whether nothing differs."""
    with np.load(path, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    wrong = total = 0
    for number in range(len(stored["logits"])):
        columns = {name.partition("_")[2]: stored[name] for name in stored if name.startswith(f"{number}_")}
        found = host.logits(host.sample(columns, f"{path.name}, recording {number}"))
        wrong, total = wrong + int(np.sum(found != stored["logits"][number])), total + found.size
    print(f"{wrong} of {total} logits of {path.name} differ")
    return wrong == 0


def main(words: list[str]) -> int:
    """Answer each recording in a line."""
    here, as_json = Path(__file__).parent, "--json" in words
    host = Host(here / MODEL)
    files = [Path(word) for word in words if word != "--json"]
    if not files:
        return 0 if try_examples(host, here / EXAMPLES) else 1
    for path in files:
        logits = host.logits(host.sample(read(path), str(path)))
        best, scores = int(np.argmax(logits)), logits * host.scale
        name = host.class_names[best] if host.class_names else str(best)
        told = {"file": str(path), "class": name, "index": best, "score": float(scores[best])}
        print(json.dumps({**told, "logits": logits.tolist()}) if as_json else f"{path}: {name}  {scores[best]:.3f}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(2)
