"""Small data sets that can be learned, settings of runs on them that take seconds, and checks of pages."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import multiprocessing.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it, before anything loads torch

import h5py
import numpy as np
import pages
import pytest
import shown_tables
from scipy.io import savemat
from started import Starter

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # where pytest keeps folders of earlier runs
SCRATCH = tempfile.mkdtemp(prefix="pumice-tests-")
os.environ["TMPDIR"] = tempfile.tempdir = SCRATCH  # what tests, and all that they start, leave lies here, and goes

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell, and their children, ignore it

COMPILE = """
from pumice.hw_sim.simulator import run
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
for draw, seed in ((random_program, 8), (random_program, 1), (random_network, 0), (random_network, 3)):
    program = draw(seed)
    run(program, [random_sample(program, 0, 20)])
"""
"""What most programs use of the simulator's machine, compiled once; numba keeps it beside the sources."""
COMPILED = ("api", "benchmarks", "cli", "docs", "export", "hw_sim", "quantize", "robustness", "stages", "test_wheel.py")
"""Folders and files of tests that run it."""

TOGETHER = {
    "the run of small_finished": (
        "cli/test_cli.py",
        "cli/test_predict.py",
        "stages/test_dry.py",
        "stages/test_export_c.py",
        "stages/test_export_nir.py",
        "stages/test_export_onnx.py",
        "stages/test_export_qonnx.py",
        "stages/test_lava.py",
        "stages/test_reads.py",
        "stages/test_search.py",
        "stages/test_sensitivity.py",
        "stages/test_shard.py",
        "stages/test_shown",
        "stages/test_simulate_report.py",
    ),
    "processes that start from a loaded one": (
        "robustness/",
        "api/test_model_limits.py",
        "cli/test_jobs.py",
        "train/data/test_plausibility.py",
        "train/test_hostile.py",
    ),
}
"""Files of tests that share what is made once a process: one worker gets them all."""
LONG = ("test_wheel.py", "docs/", "export/lava/", "api/")
"""Other files that take long, and come before the rest so that no worker ends with one."""


def pytest_configure(config):
    """Whatever else runs with what is thorough draws as many random examples (`depth.examples`)."""
    if "not thorough" not in config.option.markexpr:
        os.environ["PUMICE_THOROUGH"] = "1"


def pytest_unconfigure(config):
    """Nothing stays in the system's temporary folder."""
    if compiling := getattr(config, "pumice_compiling", None):
        compiling.kill()
        compiling.wait()
    multiprocessing.util._run_finalizers()  # which have a folder there, and would miss it
    shutil.rmtree(SCRATCH, ignore_errors=True)


def pytest_sessionstart(session):
    """Where workers share the tests, one process compiles for all of them, and holds a lock as long as it does."""
    config = session.config
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        with open(Path(SCRATCH) / "compiling", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = [sys.executable, "-c", COMPILE]
            config.pumice_compiling = subprocess.Popen(command, pass_fds=[lock.fileno()])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a worker of pytest-xdist where the lock is."""
    node.workerinput["compiling"] = str(Path(SCRATCH) / "compiling")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A worker gets whole files, and all of those that belong together."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(path_of(nodeid)) or nodeid.partition("::")[0]

    return Files(config, log)


def pytest_collection_modifyitems(items):
    """What needs no compiled machine comes first; of the rest, what takes long."""
    items.sort(key=lambda item: order_of(path_of(item.nodeid)))


def pytest_collection_finish():
    """What is loaded by now stays, and is not walked over again and again: a seventh of the time that tests take."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def path_of(nodeid):
    """The file of a test, in this folder."""
    return nodeid.partition("::")[0].removeprefix("tests/")


@cache
def group_of(path):
    """The key of `TOGETHER` that a file of tests belongs to, or None."""
    return next((name for name, files in TOGETHER.items() if path.startswith(files)), None)


@cache
def order_of(path):
    """The place of a file: what needs no machine comes before groups, what is long, and the rest."""
    if not runs_machine(path):
        return -1
    if group := group_of(path):
        return list(TOGETHER).index(group)
    long = (place for place, start in enumerate(LONG) if path.startswith(start))
    return len(TOGETHER) + next(long, len(LONG))


@cache
def runs_machine(path):
    """Whether tests of a file may run the simulator's machine, or belong together with some that may."""
    return group_of(path) is not None or path.partition("/")[0] in COMPILED


def pytest_runtest_setup(item):
    """Tests that run the machine wait for it, and do not compile it once more."""
    given = getattr(item.config, "workerinput", {})
    if runs_machine(path_of(item.nodeid)) and (path := given.pop("compiling", None)):
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)


CLASSES = 20
EVENTS = 60


def write_small_set(path, count, seed):
    """A file in SHD's layout: the events of class k lie around channel 35 k."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for row, label in enumerate(labels):
            size = int(rng.integers(EVENTS // 2, EVENTS))
            times[row] = np.sort(rng.uniform(0, 0.2, size)).astype(np.float16)
            units[row] = np.clip(rng.normal(35 * label + 17, 4, size), 0, 699).astype(np.uint16)
        file["labels"] = labels.astype(np.uint16)
        file["extra/speaker"] = (np.arange(count) // CLASSES).astype(np.uint16)
        file["extra/keys"] = np.array([f"word {label}".encode() for label in range(CLASSES)])


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """Folder with train.h5 (100 utterances of 5 speakers) and test.h5 (40)."""
    root = tmp_path_factory.mktemp("small-set")
    write_small_set(root / "train.h5", 100, seed=0)
    write_small_set(root / "test.h5", 40, seed=1)
    return root


@pytest.fixture(scope="session")
def small_run(small_set):
    """Overrides of a quick run on ``small_set``."""
    return [
        f"task.root={small_set}",
        "task.pad_unit=16",
        "task.validation.fraction=0.2",
        "model.d_model=8",
        "model.d_ssm=8",
        "model.stride=4",
        "model.dropout=0.1",
        "training.epochs=2",
        "training.warmup_epochs=0.5",
        "training.batch_size=8",
        "training.ssm_base_lr=1e-3",
        "logging.tensorboard=false",
        "system.threads=1",
        "simulate.backends=[reference,twin,run,step]",  # Lava has its own tests
    ]


class Watched(dict):
    """A configuration that remembers which of its sections were read."""

    read: set

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.read.add(name)
        return super().get(name, default)


@dataclass
class Finished:
    """A run that has gone through every stage.

    Attributes:
        folder: of the run; copy it before changing it.
        settings: its overrides.
        printed: what each stage printed, by its name.
        tables: the tables among that.
        read: the sections of the configuration that each stage read, by its name.
    """

    folder: Path
    settings: list
    printed: dict = field(default_factory=dict)
    tables: dict = field(default_factory=dict)
    read: dict = field(default_factory=lambda: defaultdict(set))


@pytest.fixture(scope="session")
def small_finished(small_run, tmp_path_factory):
    """A `Finished` run of ``small_run``, fine-tuned, exported, counted and reported; tests of stages share it."""
    from pumice.cli.main import main
    from pumice.stages import run
    from pumice.stages.table import STAGES

    folder = tmp_path_factory.mktemp("small-finished") / "run"
    settings = [*small_run, "quantize.qat.epochs=1", "quantize.qat.lr=0.03", "quantize.max_dead_zone=1"]
    settings += ["export.step_samples=5", "export.qdq_samples=30", "count.samples=3", "logging.progress=false"]
    finished, run_stage = Finished(folder, settings), run._run_stage

    def watched(stage, module, opened, share=False):
        opened.config = Watched(opened.config)
        opened.config.read = finished.read[stage.name]
        run_stage(stage, module, opened)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_run_stage", watched)
        patch.setenv("COLUMNS", "240")  # so that no printed table is folded
        # the folder remembers the last target, which is onnx where nobody says another
        for stage in sorted(STAGES, key=lambda stage: (stage.name == "report", stage.target == "onnx")):
            words = [stage.name] if not stage.target else ["export", f"target={stage.target}"]
            if stage.arithmetic == "loihi":
                continue
            with (
                contextlib.redirect_stdout(io.StringIO()) as out,
                shown_tables.recorded() as finished.tables[stage.name],
                pytest.raises(SystemExit) as ended,
            ):
                main([*words, *settings, f"run_dir={folder}"])
            finished.printed[stage.name] = out.getvalue()
            assert ended.value.code == 0, out.getvalue()
    return finished


@pytest.fixture(scope="session")
def small_upto(small_finished, tmp_path_factory):
    """``small_upto(*stages)``: a copy of the run of `small_finished` in which these stages alone have run."""
    from pumice.files import read_json, write_json
    from pumice.stages.folder import RunFolder
    from pumice.stages.table import STAGES

    def copy(*kept):
        folder = tmp_path_factory.mktemp("small") / "run"
        shutil.copytree(small_finished.folder, folder)
        for stage in STAGES:
            if stage.name not in kept:
                RunFolder(folder, {}).forget(stage)
        figures = read_json(folder / "metrics.json")
        write_json(folder / "metrics.json", {name: figures[name] for name in kept})
        return folder

    return copy


ECG_STEPS = 40


def write_small_ecg(path, count, seed=0, unlabelled=0.1, **changes):
    """x (count, 40, 4) int16 in {-1, 0, 1}; y (count, 40, 6) uint8 one-hot, some rows zero; the class is in x."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 6, (count, ECG_STEPS // 10)), 10, axis=1)
    x = np.zeros((count, ECG_STEPS, 4), np.int16)
    for bit in range(3):
        x[..., bit] = np.where(labels >> bit & 1, 1, -1)
    y = np.eye(6, dtype=np.uint8)[labels]
    y[rng.random((count, ECG_STEPS)) < unlabelled] = 0
    t = np.tile(np.arange(ECG_STEPS, dtype=np.uint16), (count, 1))
    savemat(path, {"x": x, "y": y, "t": t, "max_i": np.full((count, 1), ECG_STEPS, np.uint16)} | changes)
    return x, y


@pytest.fixture(scope="session")
def write_ecg():
    """`write_small_ecg`."""
    return write_small_ecg


@pytest.fixture(scope="session")
def small_ecg_run(tmp_path_factory):
    """Overrides of a quick run of an adaptive LIF network on ECG files in their true format."""
    root = tmp_path_factory.mktemp("small-ecg")
    write_small_ecg(root / "QTDB_train.mat", 60, seed=1)
    write_small_ecg(root / "QTDB_test.mat", 20, seed=2)
    return [
        "task=ecg",
        f"task.root={root}",
        "task.validation.fraction=0.2",
        "model=adlif/ecg",
        "model.hidden=8",
        "training=adlif-ecg",
        "training.epochs=3",
        "training.batch_size=8",
        "logging.tensorboard=false",
        "logging.progress=false",
        "system.threads=1",
        "count.samples=3",
    ]


@pytest.fixture(scope="session")
def check_page():
    """`pages.check`."""
    return pages.check


@pytest.fixture(scope="session")
def read_page(tmp_path_factory):
    """``read_page(path)``: see `pages.read`."""
    return lambda path: pages.read(path, tmp_path_factory.mktemp("profile"))


@pytest.fixture
def browse(tmp_path):
    """``browse(page, scheme)``: see `pages.browse`."""
    if pages.CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return lambda source, scheme: pages.browse(source, scheme, tmp_path)


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Start ``pumice`` with arguments in a process of its own; see `started.Starter`."""
    with Starter(tmp_path_factory.mktemp("logs")) as starter:
        yield starter
