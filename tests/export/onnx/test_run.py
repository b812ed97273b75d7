"""run.py: what it makes of recordings, with numpy and onnxruntime alone, is what the package makes of them."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pumice
import pytest
from pumice.errors import ParityError
from pumice.export.onnx import build_sequence
from pumice.export.onnx.trial import run_examples, write_run
from pumice.program.random.programs import random_program

CASES = {
    "channels": {"sensor": [40]},
    "fewer channels": {"sensor": [40], "downsample": 3, "max_ms": 40.0},
    "pixels": {"sensor": [6, 4, 2]},
    "fewer pixels": {"sensor": [11, 7, 2], "downsample": 2, "max_events": 30},
    "x-major": {"sensor": [6, 4, 2], "token": "x-major"},
    "product": {"sensor": [6, 4, 2], "token": "product", "pairing": "next"},
}


def recordings(sensor, count, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for size in rng.integers(30, 60, count):
        columns = {"t": np.sort(rng.integers(0, 90_000, size)), "x": rng.integers(0, sensor[0], size)}
        if len(sensor) == 3:
            columns |= {"y": rng.integers(0, sensor[1], size), "p": rng.integers(0, 2, size)}
        found.append(columns)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made(case)``: folder of the model with run.py, its program, and recordings with what the package reads."""

    def make(case):
        settings = CASES[case]
        given, labels = recordings(settings["sensor"], 8), list(range(4)) * 2
        held = {"by": "sample", "fraction": 0.25}
        data = pumice.make_data((given, labels), (given, labels), validation=held, **settings)
        sizes = {"d_model": 8, "d_ssm": 8, "stride": 2, "layers_per_stage": 1}
        model = pumice.build_model("s5/tiny", num_classes=4, **data.model_inputs, **sizes)
        pairing = {"pairing": settings["pairing"]} if "pairing" in settings else {}
        program = pumice.quantize(model, data, {"name": "w8a8", "max_dead_zone": 1.0}).program
        assert program.pairing == pairing.get("pairing", "causal")
        program = replace(program, provenance={"config": {"task": {"name": "t", "token": None, **settings}}})
        samples = data.program_samples("test")
        logits = np.stack([trace.logits for trace in pumice.simulate(program, samples)])
        folder = tmp_path_factory.mktemp("run")
        (folder / "sequence.onnx").write_bytes(build_sequence(program).SerializeToString())
        write_run(folder, data.raw("test", 3), logits[:3])
        return folder, given, logits, program

    return make


def call(folder, *words):
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\ntry:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n    assert not {'torch', 'pumice'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "run.py"), *map(str, words)], capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_recordings_give_the_logits_of_the_program(made, case, tmp_path):
    folder, given, logits, program = made(case)
    assert run_examples(folder) == f"0 of {logits[:3].size} logits of examples.npz differ"
    files = []
    writers = itertools.cycle([as_npy, as_npz, as_csv, as_headed_csv])
    for number, (columns, write) in enumerate(zip(given, writers, strict=False)):
        files.append(write(tmp_path / f"r{number}", columns))
    code, out, err = call(folder, "--json", *files)
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert [entry["logits"] for entry in told] == logits.tolist()
    assert [entry["index"] for entry in told] == logits.argmax(1).tolist()
    scale = program[program.logits].output.scale
    assert [entry["score"] for entry in told] == (logits.max(1) * scale).tolist()


def as_npy(path, columns):
    np.save(f"{path}.npy", np.stack(list(columns.values()), 1))
    return f"{path}.npy"


def as_npz(path, columns):
    order = np.random.default_rng(1).permutation(len(columns["t"]))
    order = order[np.argsort(columns["t"][order], kind="stable")]
    p = {"p": 2 * columns["p"] - 1} if "p" in columns else {}
    np.savez(f"{path}.npz", **{**columns, **p})
    return f"{path}.npz"


def as_csv(path, columns):
    np.savetxt(f"{path}.csv", np.stack(list(columns.values()), 1), "%d", ",")
    return f"{path}.csv"


def as_headed_csv(path, columns):
    names = list(columns)[::-1]
    np.savetxt(
        f"{path}.csv", np.stack([columns[name] for name in names], 1), "%d", ",", header=",".join(names), comments=""
    )
    return f"{path}.csv"


def test_dense_rows_are_quantized_by_the_host_as_the_package_does(tmp_path):
    program = random_program(5, value="dense", pairing="causal", stride=2)
    width, frac = program.value_input.channels, program.value_input.output.frac
    rng = np.random.default_rng(0)
    rows = [rng.normal(0, 2, (25, width)), (rng.integers(-9, 9, (25, width)) + 0.5) / 2.0**frac]
    rows.append(np.nextafter(rows[1], -np.inf))  # just below a half
    times = [np.cumsum(rng.integers(0, 2000, 25)) for _ in rows]
    logits = np.stack([trace.logits for trace in pumice.simulate(program, list(zip(rows, times, strict=True)))])
    (tmp_path / "sequence.onnx").write_bytes(build_sequence(program).SerializeToString())
    write_run(tmp_path, [{"rows": r, "t": t} for r, t in zip(rows, times, strict=True)], logits)
    assert run_examples(tmp_path).startswith("0 of ")


def test_bins_are_those_of_the_package(small_set, tmp_path):
    data = pumice.load_data("spoken-digits-binned", root=str(small_set))
    model = pumice.build_model("adlif/tiny", num_classes=20, hidden=6, **data.model_inputs)
    settings = {"name": "w8a8", "calibration": {"samples": 8}, "max_dead_zone": 1.0}
    program = pumice.quantize(model, data, settings).program
    task = {"kind": "binned", "name": "b", "channels": 700, "group": 5, "bin_ms": 4, "fewest_bins": 250}
    program = replace(program, provenance={"config": {"task": task}})
    logits = [trace.logits for trace in pumice.simulate(program, data.program_samples("test", 4))]
    (tmp_path / "sequence.onnx").write_bytes(build_sequence(program).SerializeToString())
    raw = data.raw("test", 4)
    assert set(raw[0]) == {"t", "x"}
    write_run(tmp_path, raw, np.stack(logits))
    assert run_examples(tmp_path) == "0 of 80 logits of examples.npz differ"


def test_a_logit_that_differs_ends_with_code_1(made):
    folder, given, logits, _ = made("channels")
    write_run(folder, [given[0]], logits[:1] + np.array([0, 1, 0, 0]))
    code, out, _ = call(folder)
    assert (code, out) == (1, "1 of 4 logits of examples.npz differ\n")
    with pytest.raises(ParityError, match="1 of 4"):
        run_examples(folder)


def test_what_cannot_be_a_recording_is_a_sentence(made, tmp_path):
    folder, *_ = made("pixels")
    arrays = {
        "few": (np.zeros((3, 2)), "has shape (3, 2); give a row an event: t, x, y, p"),
        "fraction": (np.full((3, 4), 0.5), "t are no whole numbers"),
        "outside": (np.array([[0, 6, 0, 0]]), "x lie between 6 and 6, the sensor has 6"),
        "below": (np.array([[0, 0, -1, 0]]), "y lie between -1 and -1"),
        "polarity": (np.array([[0, 0, 0, 3]]), "polarities are 0 and 1"),
        "huge": (np.array([[2.0**60, 0, 0, 0]]), "beyond 2**53"),
    }
    for name, (array, part) in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        code, out, err = call(folder, tmp_path / f"{name}.npy")
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert part in err
    (tmp_path / "bad.csv").write_text("t,x\n1,a\n")
    for path, part in ((tmp_path / "none.npy", "cannot be read"), (tmp_path / "bad.csv", "cannot be read")):
        code, _, err = call(folder, path)
        assert code == 2
        assert part in err
