"""A wheel built from the source tree and installed elsewhere runs the main job."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1]


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # setuptools leaves a build/ folder in the source tree, so the wheel is built from a copy of what git tracks.
    folder = tmp_path_factory.mktemp("wheel")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=SOURCE).splitlines()
    for name in tracked:
        if (SOURCE / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((SOURCE / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "source")
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"pumice", next(name for name in top if name.endswith(".dist-info"))}
    assert not [name for name in names if name.startswith(("pumice/tests", "pumice/benchmarks", "pumice/docs"))]
    assert {"pumice/cli/main.py", "pumice/configs/config.yaml", "pumice/configs/model/s5/tiny.yaml"} <= set(names)
    assert {f"pumice/hw_sim/report/templates/{page}.html.j2" for page in ("page", "run", "comparison")} <= set(names)
    assert {f"pumice/models/sdn/weights/tau{tau}.safetensors" for tau in ("0125", "02")} <= set(names)
    assert {f"pumice/train/data/spoken_digits/{split}.h5.xz" for split in ("train", "test")} <= set(names)


DATA = {".yaml", ".j2", ".c", ".xz", ".json", ".safetensors", ".typed", ".txt", ""}
"""Settings, pages, C sources, the embedded set, two small networks, requirements of Lava; a Makefile has no ending."""
MOST_BYTES = 9_000_000
"""Of which the embedded set is 7.4 million."""


def test_wheel_has_no_data_that_it_does_not_need(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = [entry for entry in archive.infolist() if ".dist-info/" not in entry.filename]
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        about = archive.read(metadata).decode()
    assert {Path(entry.filename).suffix for entry in files} - {".py"} == DATA
    large = {Path(entry.filename).name: entry.file_size for entry in files if entry.file_size > 50_000}
    assert set(large) == {"train.h5.xz", "test.h5.xz"}
    assert wheel.stat().st_size < MOST_BYTES
    assert "Description-Content-Type: text/markdown" in about
    assert "# Pumice" in about.partition("\n\n")[2]


def test_every_package_of_the_tree_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for init in SOURCE.rglob("__init__.py"):
        name = init.relative_to(SOURCE)
        if not name.parts[0].startswith((".", "build", "tests", "runs")):
            assert f"pumice/{name}" in names, f"pyproject.toml does not list the package of {name}"


TRAIN_AND_EVALUATE = """
import sys
from pathlib import Path
import pumice
from pumice.cli.main import main

assert Path(pumice.__file__) == Path(sys.argv[1]), pumice.__file__
for verb in ("train", "evaluate"):
    try:
        main([verb, *sys.argv[2:]])
    except SystemExit as ended:
        assert ended.code == 0, ended.code
"""


def take_compiled(installed):
    """What is compiled already; numba takes it for files of the same content and time."""
    for path in installed.rglob("*.py"):
        source = SOURCE / path.relative_to(installed)
        assert path.read_bytes() == source.read_bytes()
        shutil.copystat(source, path)
        for compiled in (source.parent / "__pycache__").glob(f"{path.stem}.*.nb[ic]"):
            (path.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy2(compiled, path.parent / "__pycache__")


def test_installed_wheel_runs_away_from_the_source_tree(wheel, tmp_path):
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    take_compiled(target / "pumice")
    # -S leaves the editable installation's hooks out; the other packages come by the path.
    paths = [str(target), sysconfig.get_paths()["purelib"]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    cwd = tmp_path / "work"
    cwd.mkdir()
    python = [sys.executable, "-S"]
    assert "pumice <verb>" in run(*python, "-m", "pumice", "--help", cwd=cwd, env=environment)
    small = ["task.max_events=300", "task.pad_unit=100", "training.epochs=1", "training.warmup_epochs=0"]
    small += ["model.d_model=8", "model.d_ssm=8", "system.threads=1", "run_dir=run"]
    run(*python, "-c", TRAIN_AND_EVALUATE, target / "pumice/__init__.py", *small, cwd=cwd, env=environment)
    metrics = json.loads((cwd / "run/metrics.json").read_text())
    assert metrics["evaluate"]["test"]["samples"] >= 400
