"""Programs in Lava itself, in its own interpreter, against the reference. Skipped only where no Python 3.10 is had."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.lava import PARTS, run_bundle, run_lava, write_bundle
from pumice.export.lava.backend import trace_of
from pumice.export.lava.environment import SETTING, LavaUnavailable, ensure_environment, find_python
from pumice.export.lava.runtime.head import VALID
from pumice.export.lava.runtime.parts import split
from pumice.export.lava.runtime.recordings import read
from pumice.hw_sim.parity.compare import compare
from pumice.program import ProgramError, reference
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.program.random.spiking import random_spiking, random_spiking_events

LAYER = {"stages": 1, "layers": 1, "pairing": "causal", "state_width": 16}


@pytest.fixture(scope="module")
def lava():
    try:
        find_python()
    except LavaUnavailable as error:
        pytest.skip(str(error))
    return ensure_environment()


def run_reference(program, samples, trace):
    return reference.run(program, samples, trace=trace)


S5 = [
    {"stride": 1, "discretization": "async", **LAYER},
    {"stride": 1, "discretization": "zoh", "extreme": True, **LAYER},
    {"stride": 4, "pool": "mean", **LAYER},
    {"stride": 3, "pool": "time", "readout": "time", **LAYER},
    {"stride": 2, "stages": 2, "layers": 2, "readout": "steps"},
]
NETWORKS = [
    {"cell": cell, "recurrent": recurrent, "input": kind, "layers": layers, "weight_width": bits}
    for cell, kind, layers, bits in (("se", "ternary", 2, 12), ("ef", "real", 1, 8), ("lif", "counts", 3, 4))
    for recurrent in (True, False)
]
NETWORKS += [
    {"cell": cell, "input": "counts", "layers": 2, **choices}
    for cell, choices in (
        ("cuba", {"recurrent": False, "reset": "late-subtract", "leaky": True}),
        ("cuba", {"recurrent": True, "reset": "late-zero", "leaky": False}),
        ("lif", {"recurrent": False, "reset": "subtract", "leaky": False, "refractory": 3}),
    )
]
CASES = [
    *((random_program(17, **choices), parts) for choices in S5 for parts in ("layers", "fused")),
    *((random_network(31, value="dense", **choices), parts) for choices in NETWORKS for parts in PARTS),
    *((random_network(5, value="token", cell="cuba", layers=2, refractory=1), parts) for parts in ("layers", "fused")),
    *((random_loihi(seed, value="dense"), "stock") for seed in (3, 4)),
    *((random_spiking(7, value="dense", layers=2), parts) for parts in ("layers", "fused")),
    *((random_spiking_events(9, stride=3, stages=2, layers=2), parts) for parts in ("layers", "fused")),
    (random_spiking(8, value="token", layers=1, norm="none"), "layers"),
]
ALL = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from pumice.export.lava.runtime.network import run
from pumice.export.lava.runtime.supervision import supervise
from pumice.program import load
supervise()
for line in Path("cases.txt").read_text().splitlines():
    folder, parts = line.split()
    outputs = Path(folder) / "outputs"
    outputs.mkdir()
    with np.load(Path(folder) / "inputs.npz") as inputs:
        run(load(Path(folder) / "program.npz"), dict(inputs), outputs, parts)
"""


def test_lava_gives_the_reference_integers(lava, tmp_path):
    """Each network with steps without an event strewn in: running logits, what each layer sends, every state. One
    interpreter runs all, since its start takes longer than a network.
    """
    right, kept = [], []
    for number, (program, parts) in enumerate(CASES):
        shortest = 1 if program.pairing == "next" else 0
        samples = [random_sample(program, number + row, events) for row, events in enumerate((16, shortest, 1, 9))]
        folder = write_bundle(program, samples, tmp_path / f"{number}")
        change_inputs(folder, lambda inputs, seed=number: strew(inputs, seed))
        right.append((samples, reference.run(program, samples)))
        kept.append(f"{folder} {parts}")
    (tmp_path / "cases.txt").write_text("\n".join(kept))
    done = subprocess.run(
        [lava, "-c", ALL, tmp_path / "0"], cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    for number, (program, parts) in enumerate(CASES):
        with np.load(tmp_path / f"{number}" / "inputs.npz") as inputs:
            records = read(tmp_path / f"{number}" / "outputs", split(program), inputs["flags"][:, 0])
        samples, traces = right[number]
        found = [trace_of(program, records, sample) for sample in range(len(samples))]
        backends = {"reference": lambda *_, t=traces: t, "lava": lambda *_, f=found: f}
        verdict = compare(program, samples, backends, traced=len(samples)).verdicts[0]
        assert verdict.differing == 0, (number, parts, verdict.first)
        assert verdict.states[0] == verdict.states[1]


def strew(inputs, seed):
    """Steps without an event, with values that mean nothing, between the rows of ``inputs``."""
    rng = np.random.default_rng(seed)
    rows = len(inputs["flags"])
    where = np.sort(np.append(rng.permutation(np.arange(1, rows + 15))[: rows - 1], 0))
    for name, array in inputs.items():
        spread = rng.integers(0, 2, (rows + 15, array.shape[1])) * (name != "flags")
        spread[where] = array
        inputs[name] = spread


@pytest.mark.parametrize("parts", ["layers", "fused"])
def test_lava_is_a_backend_of_the_comparison(lava, parts):
    program = random_program(29, stride=2, stages=2, layers=2)
    samples = [random_sample(program, row, events) for row, events in enumerate((24, 1, 17))]
    traces = run_lava(program, samples, trace=True, timeout_s=120, parts=parts)
    backends = {"reference": lambda p, s, trace: reference.run(p, s, trace=trace), "lava": lambda *_: traces}
    verdict = compare(program, samples, backends, traced=3).verdicts[0]
    assert verdict.differing == 0, verdict.first
    assert (verdict.nodes[0], verdict.states[0]) == (len(split(program)), verdict.states[1])


def test_stock_parts_are_refused_where_they_do_not_fit(lava, tmp_path):
    program = random_program(23, **LAYER)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "bundle")
    with pytest.raises(
        ProgramError, match=r"front: parts=stock needs a clocked network of neurons; use layers or fused"
    ):
        run_bundle(folder, timeout_s=120, parts="stock")


def left_over(folder):
    """Processes that know ``folder``, by command line or working folder."""
    listed = subprocess.run(["ps", "-eo", "pid="], capture_output=True, text=True, check=True).stdout.split()
    found = []
    for pid in listed:
        try:
            found += [pid] if os.readlink(f"/proc/{pid}/cwd") == str(folder) else []
        except OSError:
            continue  # ended meanwhile
    return found


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    assert condition()


def change_inputs(folder, change):
    with np.load(folder / "inputs.npz") as archive:
        inputs = dict(archive)
    change(inputs)
    np.savez(folder / "inputs.npz", **inputs)


@pytest.fixture
def failing(lava, tmp_path):
    """A bundle whose sixth event has a token that the program does not know."""
    program = random_program(23, value="token", **LAYER)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "bundle")
    change_inputs(folder, lambda inputs: inputs["values"].__setitem__(np.flatnonzero(inputs["flags"] & VALID)[5], 999))
    return folder


@pytest.fixture
def clocked(lava, tmp_path):
    """A bundle of recurrent neurons."""
    program = random_network(31, value="dense", **NETWORKS[0])
    return write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "clocked")


@pytest.fixture
def endless(clocked, failing):
    """Bundles that take minutes, of events and of time steps."""
    for folder in (clocked, failing):
        change_inputs(folder, lambda inputs: inputs.update({n: np.tile(a[:5], (40_000, 1)) for n, a in inputs.items()}))
    return {"layers": failing, "stock": clocked}


def test_a_failing_process_ends_the_run_with_its_reason(failing):
    shared = set(os.listdir("/dev/shm"))
    with pytest.raises(PumiceError, match=r"a Lava process of .* failed: IndexError: index 999 is out of bounds"):
        run_bundle(failing, timeout_s=120)
    wait_until(lambda: not left_over(failing))
    wait_until(lambda: set(os.listdir("/dev/shm")) <= shared)


def test_a_failing_process_ends_a_run_without_the_driver(lava, failing):
    done = subprocess.run([lava, "run.py"], cwd=failing, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "IndexError: index 999 is out of bounds" in done.stderr
    wait_until(lambda: not left_over(failing))


def test_a_failing_constructor_ends_the_run_with_its_reason(failing):
    model = failing / "pumice" / "export" / "lava" / "runtime" / "layer" / "__init__.py"
    line = '        self._parts = [RunningPart(part) for part in parameters["parts"]]\n'
    assert line in model.read_text()
    model.write_text(model.read_text().replace(line, "        raise ValueError('my own model')\n"))
    with pytest.raises(PumiceError, match="failed: ValueError: my own model"):
        run_bundle(failing, timeout_s=120)


def test_a_failing_process_among_those_of_lava_ends_the_run_with_its_reason(clocked):
    model = clocked / "pumice" / "export" / "lava" / "runtime" / "neurons.py"
    text = model.read_text()
    assert "        return z\n" in text
    model.write_text(text.replace("        return z\n", "        raise ValueError('my own neurons')\n"))
    with pytest.raises(PumiceError, match=r"a Lava process of .* failed: ValueError: my own neurons"):
        run_bundle(clocked, timeout_s=120, parts="stock")
    wait_until(lambda: not left_over(clocked))


@pytest.fixture
def own_processes(lava, tmp_path):
    """A bundle of Lava's own processes; ``change(code)`` has its LIF neurons run ``code`` at every step."""
    program = random_loihi(3, value="dense", layers=1)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "own")
    module = folder / "pumice" / "export" / "lava" / "runtime" / "stock.py"

    def change(code):
        lines = ["import os", "import lava.proc.lif.models as models", "def fire(self):", f"    {code}"]
        lines += ["models.PyLifModelBitAcc.spiking_activation = fire"]
        module.write_text("\n".join([module.read_text(), *lines, ""]))
        return folder

    return change


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise ValueError('my neurons')", "failed: ValueError: my neurons"),
        ("os.kill(os.getpid(), 9)", "ended too early with code -9"),
        ("raise type('Odd', (Exception,), {})", "ended too early with code"),  # it cannot be pickled
    ],
    ids=["raises", "killed", "raises-locally"],
)
def test_a_process_of_lavas_own_that_fails_ends_the_run(own_processes, code, sentence):
    folder = own_processes(code)
    with pytest.raises(PumiceError, match=sentence):
        run_bundle(folder, timeout_s=60)
    wait_until(lambda: not left_over(folder))


def test_a_process_of_lavas_own_that_fails_ends_a_run_without_the_driver(lava, own_processes):
    folder = own_processes("raise ValueError('my neurons')")
    done = subprocess.run([lava, "run.py"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "ValueError: my neurons" in done.stderr


def test_a_failure_that_cannot_be_written_down_ends_a_run(lava, own_processes):
    """As on a full disk: the folder of failures cannot be made."""
    folder = own_processes("open('failures', 'w').close() or 1 // 0")
    done = subprocess.run([lava, "run.py"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError: integer division or modulo by zero" in done.stderr
    assert "failures cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("sent", "parts"),
    [(signal.SIGKILL, "layers"), (signal.SIGKILL, "stock"), (signal.SIGINT, "layers")],
    ids=["kill", "kill-stock", "ctrl-c"],
)
def test_nothing_outlives_the_caller(endless, sent, parts):
    shared, folder = set(os.listdir("/dev/shm")), endless[parts]
    code = f"from pumice.export.lava import run_bundle; run_bundle({str(folder)!r}, parts={parts!r})"
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(left_over(folder)) > 5 and set(os.listdir("/dev/shm")) > shared)
    caller.send_signal(sent)
    assert caller.wait(timeout=30) != 0
    wait_until(lambda: not left_over(folder))
    wait_until(lambda: set(os.listdir("/dev/shm")) <= shared)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are not tied to their parent")
def test_a_process_whose_parent_went_while_it_started_ends(tmp_path):
    code = """
import os, time
from pumice.export.lava.runtime.supervision import supervise
os.register_at_fork(after_in_child=lambda: time.sleep(0.5))
supervise()
if os.fork() == 0:
    open("outlived", "w").close()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=30)
    wait_until(lambda: not left_over(tmp_path))
    assert not (tmp_path / "outlived").exists()


def test_a_bundle_runs_on_its_own_and_compares_with_the_simulator(lava, tmp_path):
    program = random_program(23, **LAYER)
    samples = [random_sample(program, row, 9) for row in range(2)]
    logits = np.stack([trace.logits for trace in reference.run(program, samples)])
    for wrong in (0, 1):
        folder = write_bundle(
            program, samples, tmp_path / str(wrong), logits + wrong * np.eye(*logits.shape, dtype=int)
        )
        command = [lava, "run.py", *(["--parts", "fused"] if wrong else [])]
        environment = {"PATH": os.defpath}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        differing = wrong * min(logits.shape)
        assert f"{differing} of {logits.size} logits differ from the simulator's" in done.stdout, done.stderr
        assert done.returncode == wrong
        shutil.rmtree(folder / "outputs")


def test_a_folder_that_cannot_be_written_to_is_one_sentence(failing):
    (failing / "run.log").mkdir()
    with pytest.raises(PumiceError, match=r"cannot write .*run.log: Is a directory; copy the bundle"):
        run_bundle(failing, timeout_s=120)


def test_metadata_names_the_tested_versions():
    import pumice.export.lava as package
    import tomllib

    folder = Path(package.__file__).parent
    text = (folder / "runtime" / "run.py").read_text()
    evaluator = text.split("# /// script\n")[1].split("# ///\n")[0]
    metadata = tomllib.loads("".join(line.removeprefix("# ") for line in evaluator.splitlines(keepends=True)))
    assert metadata == {"requires-python": "==3.10.*", "dependencies": ["lava-nc==0.10.0", "numpy<2"]}
    pinned = (folder / "requirements.txt").read_text().splitlines()
    assert "lava-nc==0.10.0" in pinned
    assert any(line.startswith("numpy==1.") for line in pinned)


def test_progress_is_told(lava, tmp_path):
    program = random_program(23, value="token", **LAYER)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "bundle")
    change_inputs(folder, lambda inputs: inputs.update({n: np.tile(a, (20, 1)) for n, a in inputs.items()}))
    told = []
    run_bundle(folder, timeout_s=120, progress=lambda *steps: told.append(steps))
    assert told[-1] == (200, 260)
    assert told == sorted(set(told))


def test_a_run_that_takes_too_long_is_ended(lava, tmp_path):
    program = random_program(23, **LAYER)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "bundle")
    with pytest.raises(PumiceError, match=r"did not end within 0.2 s; raise simulate.lava_timeout_s"):
        run_bundle(folder, timeout_s=0.2)


def test_who_waits_for_the_environment_is_told(monkeypatch, tmp_path, capsys):
    said = []
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path))
    monkeypatch.setattr("pumice.export.lava.environment.find_python", lambda: Path(sys.executable))
    monkeypatch.setattr("pumice.export.lava.environment._build", lambda *_: said.append(capsys.readouterr().err))
    with pytest.raises(PumiceError, match=r"cannot write .*: No such file or directory"):  # nothing was built
        ensure_environment()
    assert said == [f"building the Lava environment in {tmp_path}, once: about a minute\n"]


def test_a_wrong_interpreter_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(SETTING, str(tmp_path / "python"))
    with pytest.raises(PumiceError, match="which does not start as Python 3"):
        find_python()


def test_without_an_interpreter_the_setting_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv(SETTING, raising=False)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LavaUnavailable, match=r"install one .* or name it in PUMICE_PYTHON310"):
        find_python()


@pytest.mark.parametrize("parts", ["fused", "layers"])
def test_a_bundle_on_its_own_says_what_it_cannot_do(lava, tmp_path, parts):
    program = random_loihi(3, value="dense", layers=1)
    folder = write_bundle(program, [random_sample(program, 1, 5)], tmp_path / "bundle")
    if parts == "layers":
        (folder / "inputs.npz").write_bytes((folder / "inputs.npz").read_bytes()[:-9])
    done = subprocess.run([lava, "run.py", "--parts", parts], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("run.py: ")
    assert done.stderr.count("\n") == 1
