"""`pumice export target=lava`, and Lava as a backend of `pumice simulate`, as a user meets them."""

import json
import shutil
import subprocess

import numpy as np
import pumice
import pytest
from pumice.api import backends
from pumice.cli.main import main
from pumice.export import lava as lava_package
from pumice.export.lava.environment import LavaUnavailable, ensure_environment, find_python
from pumice.hw_sim.report.write import write_report
from pumice.program import load, reference
from pumice.stages import comparison

QUICK = ["quantize.max_dead_zone=1", "logging.progress=false"]
WITH_LAVA = "simulate.backends=[run,step,lava]"
REASON = "Lava needs Python 3.10, and none was found; install one"


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def exported(small_upto):
    """A run folder with a program of a barely trained model and its Lava bundle."""
    return small_upto("train", "evaluate", "quantize", "export-lava")


@pytest.fixture
def run_dir(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def interpreter():
    try:
        find_python()
    except LavaUnavailable as error:
        pytest.skip(str(error))
    return ensure_environment()


@pytest.fixture
def no_interpreter(monkeypatch):
    def missing():
        raise LavaUnavailable(REASON)

    monkeypatch.setattr(lava_package, "ensure_environment", missing)


def test_the_bundle_holds_the_shortest_samples_and_their_logits(exported):
    program = load(exported / "lava" / "program.npz")
    record = json.loads((exported / "stages" / "export-lava.json").read_text())
    with np.load(exported / "lava" / "inputs.npz") as inputs, np.load(exported / "lava" / "expected.npz") as expected:
        flags, tokens, logits = inputs["flags"][:, 0], inputs["values"][:, 0], expected["logits"]
    task = json.loads((exported / "stages" / "train.json").read_text())["settings"]["task"]
    lengths = [len(times) for _, times in pumice.load_data(task).program_samples("test")]
    chosen = record["figures"]["samples"]
    assert sorted(lengths[index] for index in chosen) == sorted(lengths)[:2]
    assert chosen != [0, 1]
    assert flags.tolist().count(2) == 2
    assert len(flags) == record["figures"]["events"] + 2
    starts = np.flatnonzero(flags == 2)
    gaps = np.load(exported / "lava" / "inputs.npz")["gaps"][:, 0]
    tick = next(node.unit_us for node in program.gap_inputs)
    for start, end, right in zip(starts, [starts[1], len(flags)], logits, strict=True):
        sample = tokens[start + 1 : end], np.cumsum(gaps[start + 1 : end]) * tick
        np.testing.assert_array_equal(reference.run(program, [sample])[0].logits, right)


def test_the_bundle_is_written_again_byte_for_byte(run_dir, capsys):
    written = [path for path in (run_dir / "lava").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in written}
    (run_dir / "lava" / "pumice" / "mine.py").touch()
    assert call("export", "target=lava", f"run_dir={run_dir}", "redo=[export-lava]") == 0
    assert {path: path.read_bytes() for path in (run_dir / "lava").rglob("*") if path.is_file()} == before
    assert call("export", "target=lava", f"run_dir={run_dir}") == 0
    assert "finished earlier" in capsys.readouterr().out


def test_the_bundle_runs_as_it_is(interpreter, run_dir):
    command = [interpreter, "run.py"]
    done = subprocess.run(command, cwd=run_dir / "lava", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 of 40 logits differ from the simulator's" in done.stdout


def test_events_of_your_own(interpreter, run_dir, tmp_path):
    """As on a machine without Pumice: files of events in, classes out, and what is no recording is a sentence."""
    task = json.loads((run_dir / "stages" / "train.json").read_text())["settings"]["task"]
    data, program = pumice.load_data(task), load(run_dir / "program.npz")
    lengths = [len(times) for _, times in data.program_samples("test")]
    chosen = sorted(range(len(lengths)), key=lengths.__getitem__)[2:4]  # not those of the bundle
    files, raw = [], data.raw("test", max(chosen) + 1)
    for number in chosen:
        files.append(tmp_path / f"{number}.csv")
        rows = np.stack([raw[number]["t"], raw[number]["x"]], axis=1)
        np.savetxt(files[-1], rows[::-1], "%d", ",", header="t,x", comments="")  # in any order of time
    command = [interpreter, "run.py", *files]
    done = subprocess.run(command, cwd=run_dir / "lava", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    samples = [data.program_samples("test")[number] for number in chosen]
    logits = np.stack([trace.logits for trace in reference.run(program, samples)])
    scale = program[program.logits].output.scale
    best = [(program.class_names[row.argmax()], row.max() * scale) for row in logits]
    told = [f"{file}: {name}  {score:.3f}" for file, (name, score) in zip(files, best, strict=True)]
    assert done.stdout.splitlines()[-3:] == [*told, f"0 of {logits.size} logits differ from the program's"]
    files[0].write_text("t,x\n5,700\n")
    done = subprocess.run(command, cwd=run_dir / "lava", capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "x lie between 700 and 700, the sensor has 700" in done.stderr


def test_lava_is_a_backend(interpreter, run_dir, capsys):
    assert call("simulate", WITH_LAVA, f"run_dir={run_dir}", "redo=[simulate]") == 0
    result = json.loads((run_dir / "simulate.json").read_text())
    entry = result["backends"]["lava"]
    assert (result["differing"], result["skipped"]) == (0, {})
    assert (entry["samples"], entry["differing"], entry["states"]) == (2, 0, [4, 4])
    assert entry["values"] > 2 * 20
    with np.load(run_dir / "simulate.npz") as arrays:
        chosen = arrays["lava_samples"]
        np.testing.assert_array_equal(arrays["lava"], arrays["run"][chosen])
        right = int((arrays["lava"].argmax(1) == arrays["labels"][chosen]).sum())
    assert result["accuracy"]["lava"]["correct"] == right
    assert "lava (shortest 2)" in capsys.readouterr().out
    write_report(run_dir)
    assert "<td>lava</td>" in (run_dir / "report.html").read_text()


def test_a_wrong_value_is_named_by_its_place_in_the_test_set(run_dir, monkeypatch, capsys):
    def wrong(program, samples, trace, **_):
        traces = reference.run(program, samples, trace=True)
        traces[1].logits[3] += 1
        return traces

    monkeypatch.setattr(lava_package, "run_lava", wrong)
    monkeypatch.setattr(lava_package, "ensure_environment", lambda: None)
    assert call("simulate", WITH_LAVA, f"run_dir={run_dir}", "redo=[simulate]") == 1
    chosen = np.load(run_dir / "simulate.npz")["lava_samples"]
    assert f"lava against run: first difference in sample {chosen[1]}," in capsys.readouterr().err


def test_without_an_interpreter_lava_is_skipped_and_says_why(no_interpreter, run_dir, capsys):
    assert call("simulate", WITH_LAVA, f"run_dir={run_dir}", "redo=[simulate]") == 0
    assert f"lava SKIPPED: {REASON}" in capsys.readouterr().out
    result = json.loads((run_dir / "simulate.json").read_text())
    assert result["skipped"] == {"lava": REASON}
    assert set(result["backends"]) == {"run", "step"}
    write_report(run_dir)
    assert f"SKIPPED: {REASON}" in (run_dir / "report.html").read_text()
    assert f'lava,,,,,,"{REASON}"' in (run_dir / "report" / "parity.csv").read_text()


def test_without_an_interpreter_nothing_is_left_to_compare(no_interpreter, run_dir, capsys):
    assert call("simulate", "simulate.backends=[run,lava]", f"run_dir={run_dir}", "redo=[simulate]") == 2
    assert capsys.readouterr().err == f"pumice: {REASON}\n"


@pytest.mark.parametrize(
    ("verb", "override", "sentence"),
    [
        ("export", "lava.samples=0", "lava.samples=0 has to be at least 1"),
        ("export", "target=loihi", "target=loihi is unknown; use one of: onnx, lava"),
        ("simulate", "simulate.lava_timeout_s=0", "simulate.lava_timeout_s=0.0 has to be positive"),
    ],
)
def test_bad_settings_are_one_sentence(run_dir, verb, override, sentence, capsys):
    assert call(verb, "target=lava", f"run_dir={run_dir}", "redo=[simulate,export-lava]", override) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_folder_that_cannot_be_written_to(run_dir, monkeypatch, capsys):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pumice.export.lava.bundle.save", refused)
    assert call("export", "target=lava", f"run_dir={run_dir}", "redo=[export-lava]") == 2
    error = capsys.readouterr().err
    assert f"cannot write the bundle {run_dir / 'lava'}: Permission denied; choose another folder" in error
    assert not (run_dir / "lava").exists()


def test_remembering_prepares_once_and_keeps_traces():
    asked, prepared = [], []

    def backend(program, samples, trace):
        asked.append((len(samples), trace))
        return [object() for _ in samples]

    remembering = backends.Remembering(backend, prepare=lambda: prepared.append(1), traces_always=True)
    samples = [(0, 0), (1, 1), (2, 2)]
    remembering.warm_up(None, samples)
    plain = remembering(None, samples, False)
    assert remembering(None, samples[1:], True) == plain[1:]
    assert (asked, prepared) == ([(3, True)], [1])
    assert remembering.seconds > 0


def test_shares():
    settings = comparison.SimulateSettings(["run", "step", "lava"], {"step": 2, "lava": 2})
    samples = [(np.zeros(n), np.zeros(n)) for n in (5, 3, 9, 1)]
    assert comparison.share_of("run", samples, settings) == [0, 1, 2, 3]
    assert comparison.share_of("step", samples, settings) == [0, 1]
    assert comparison.share_of("lava", samples, settings) == [1, 3]


@pytest.mark.thorough
def test_a_clocked_network_in_lavas_own_dense(interpreter, small_ecg_run, tmp_path):
    """A whole run: potentials of every step, spikes and states of two sequences; then the bundle on its own."""
    folder = tmp_path / "run"
    quick = ["model.layers=1", "model.hidden=12", "training.epochs=1", "quantize.qat.epochs=0", *QUICK]
    lava = ["simulate.backends=[run,lava]", "simulate.lava_parts=stock", "target=lava"]
    for verb in ("train", "evaluate", "quantize", "simulate", "export"):
        assert call(verb, *small_ecg_run, *quick, *lava, f"run_dir={folder}") == 0
    entry = json.loads((folder / "simulate.json").read_text())["backends"]["lava"]
    assert (entry["samples"], entry["differing"], entry["states"]) == (2, 0, [1, 1])
    steps = 2 * 40
    assert entry["values"] >= steps * (12 + 24 + 6)
    command = [interpreter, "run.py", "--parts", "fused"]
    done = subprocess.run(command, cwd=folder / "lava", capture_output=True, text=True, timeout=120, check=False)
    assert "0 of 12 logits differ from the simulator's" in done.stdout, done.stderr
    assert np.load(folder / "lava" / "outputs" / "readout.state.npy").shape == (steps + 2, 6)
