"""Small data sets that can be learned, settings of runs on them that take seconds, and checks of pages."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it, before anything loads torch

import h5py
import numpy as np
import pytest
from scipy.io import savemat

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # where pytest keeps folders of earlier runs
SCRATCH = tempfile.mkdtemp(prefix="pumice-tests-")
os.environ["TMPDIR"] = tempfile.tempdir = SCRATCH  # what tests, and all that they start, leave lies here, and goes

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell, and their children, ignore it

COMPILE = """
from pumice.hw_sim.simulator import run
from pumice.program.random.programs import random_program, random_sample
program = random_program(8)
run(program, [random_sample(program, 0, 20)])
"""
"""The simulator's machine: a minute and more, once; numba keeps it beside the sources."""
COMPILED = ("api", "benchmarks", "cli", "docs", "export", "hw_sim", "quantize", "robustness", "stages", "test_wheel.py")
"""Folders and files of tests that run it."""


SHARING = (
    "cli/test_cli.py",
    "stages/test_export_onnx.py",
    "stages/test_lava.py",
    "stages/test_reads.py",
    "stages/test_shown",
    "stages/test_simulate_report.py",
)
"""Files of tests that ask for the run of `small_finished`."""


def pytest_unconfigure(config):
    """Nothing stays in the system's temporary folder."""
    if compiling := getattr(config, "pumice_compiling", None):
        compiling.kill()
        compiling.wait()
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
    """A worker gets whole files, and one of them all those that share the run of `small_finished`."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return "small-finished" if file.removeprefix("tests/").startswith(SHARING) else file

    return Files(config, log)


def pytest_collection_modifyitems(items):
    """What needs no compiled machine comes first."""
    items.sort(key=runs_machine)


def runs_machine(item):
    """Whether a test may run the simulator's machine."""
    return item.nodeid.partition("::")[0].removeprefix("tests/").partition("/")[0] in COMPILED


def pytest_runtest_setup(item):
    """Tests that run the machine wait for it, and do not compile it once more."""
    path = getattr(item.config, "workerinput", {}).pop("compiling", None) if runs_machine(item) else None
    if path:
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)


CLASSES = 20
EVENTS = 60
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
        read: the sections of the configuration that each stage read, by its name.
    """

    folder: Path
    settings: list
    printed: dict = field(default_factory=dict)
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

    def watched(stage, module, opened):
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
            with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as ended:
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


class Page(HTMLParser):
    """Collects what a page would load, and whether its tags close."""

    def __init__(self):
        super().__init__()
        self.loads, self.open = [], []

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "iframe", "object", "embed"):
            self.loads.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "action")]
        if tag not in ("meta", "link", "br", "hr", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="session")
def check_page():
    """Asserts of a page's text that it is whole, loads nothing, and shows no number that is none."""

    def check(text):
        page = Page()
        page.feed(text)
        assert page.open == []
        assert all(target == "data:," or target.startswith("#") for target in page.loads), page.loads
        assert not re.search(r"url\((?!#)", text)
        assert "@import" not in text
        assert "nan" not in re.findall(r"[\w.]+", text)
        assert not re.search(r"#0[1-6]0[2-7]0[3-8]\b", text), "a stand-in colour was left"

    return check


class Reading(HTMLParser):
    """What a person reads on a page, by its headings: tables as rows of cells, and all text.

    Attributes:
        tables: by heading, a list of tables, each a list of rows of texts.
        text: by heading, all text, with single spaces.
        facts: the figures on top, by what stands below them.
    """

    def __init__(self, page):
        super().__init__()
        self.tables, self.text, self.facts = {}, {}, {}
        self._heading, self._cell, self._shown, self._fact = "", None, True, []
        self.feed(page)
        self.text = {name: " ".join(text.split()) for name, text in self.text.items()}

    def handle_starttag(self, tag, attributes):
        if tag in ("h1", "h2", "h3"):
            self._heading = ""
            self._cell = ["h"]
        elif tag == "table":
            self.tables.setdefault(self._heading, []).append([])
        elif tag == "tr":
            self.tables[self._heading][-1].append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag in ("style", "title", "svg"):
            self._shown = False
        elif tag == "div" and ("class", "facts") in attributes:
            self._heading = "facts"

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[self._heading][-1][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None
        elif tag in ("h1", "h2", "h3"):
            self._heading, self._cell = " ".join("".join(self._cell[1:]).split()), None
        elif tag in ("style", "title", "svg"):
            self._shown = True
        elif self._heading == "facts" and tag in ("b", "span"):
            self._fact.append(self.text.pop("facts").strip())
            if tag == "span":
                self.facts[self._fact[-1]] = self._fact[-2]

    def handle_data(self, data):
        if self._shown:
            self.text[self._heading] = self.text.get(self._heading, "") + data
            if self._cell is not None:
                self._cell.append(data)


@pytest.fixture(scope="session")
def read_page(tmp_path_factory):
    """``read_page(path)``: a `Reading` of the page as a browser holds it; of the file where there is no browser."""

    def read(path):
        text = path.read_text()
        if CHROMIUM is not None:
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            options += [f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--no-first-run", "--dump-dom"]
            done = subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, text=True, timeout=120)
            assert "</html>" in done.stdout, done.stderr
            text = done.stdout
        return Reading(text)

    return read


@pytest.fixture
def browse(tmp_path):
    """Opens a page in a browser, in a light or dark scheme: no error, no request, something to see."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    from matplotlib.image import imread

    def open_page(source, scheme):
        picture, net_log = tmp_path / "page.png", tmp_path / "net.json"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        options += ["--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps"]
        options += [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", "--window-size=1000,1200"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--hide-scrollbars"]
        command = [CHROMIUM, *options, f"--screenshot={picture}", f"--log-net-log={net_log}", source.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert picture.is_file(), done.stderr
        assert "CONSOLE" not in done.stderr, done.stderr
        asked = set(re.findall(r'"url":"(\w+://[^"]*)"', net_log.read_text()))
        asked = {url for url in asked if not re.match(r"(chrome|devtools|chrome-extension)", url)}
        own = ("update.googleapis.com", "google.com", "gstatic.com", "clients2")  # the browser's, not the page's
        assert all(url.startswith(source.as_uri()) or any(host in url for host in own) for url in asked), asked
        image = imread(picture)
        assert image.std() > 0.05, "the page is blank"
        corner = image[-1, 0, :3].mean()
        assert corner < 0.3 if scheme == "dark" else corner > 0.8

    return open_page
