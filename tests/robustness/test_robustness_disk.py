"""Folders that cannot be written to and disks that are full: a sentence, and nothing half written."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pumice.stages.table import STAGES

FEW = ("train", "quantize", "report")
LIMITED = [pytest.param(stage, id=stage.name, marks=() if stage.name in FEW else pytest.mark.slow) for stage in STAGES]


@contextlib.contextmanager
def mounted(folder, *options):
    """A small disk at ``folder``; the test is skipped where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def readable(folder):
    """Every file that bears its final name is whole."""
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    assert not list(folder.rglob(".partial-*"))


@pytest.mark.parametrize("stage", LIMITED)
def test_files_that_may_not_grow(start, run_arguments, copy, check_sentence, stage):
    """The limit for the size of files makes the system refuse writes, as a full disk does."""
    largest = max((copy / name).stat().st_size for name in stage.writes) // 2
    (copy / "run.log").unlink()  # of the run before, which may be larger than that already
    run = start(*run_arguments, f"run_dir={copy}", f"redo=[{stage.name}]", largest=largest)
    check_sentence(run.ended())
    readable(copy)
    record = copy / "stages" / f"{stage.name}.json"
    assert not record.exists() or json.loads(record.read_text())["status"] == "begun"


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 20, 100, 200, 300, 400, 500, 600, 700, 900, 1100, 1300, 1500, 1700])
def test_full_disk(start, run_arguments, whole, results, check_sentence, tmp_path, size):
    """A disk of 4 MiB with ``size`` KiB free; once there is room, the run goes on to the same results."""
    with mounted(tmp_path / "disk", "-o", "size=4m") as disk:
        (disk / "ballast").write_bytes(bytes(4 * 2**20 - 2**13 - 1024 * size))
        ended = start(*run_arguments, f"run_dir={disk / 'run'}").ended()
        check_sentence(ended)
        if (disk / "run").exists():
            readable(disk / "run")
        (disk / "ballast").unlink()
        code, output = start(*run_arguments, f"run_dir={disk / 'run'}").ended()
        assert code == 0, output
        assert results(disk / "run") == results(whole[0])


def test_read_only_disk(start, run_arguments, copy, check_sentence, tmp_path):
    with mounted(tmp_path / "disk", "-o", "size=8m") as disk:
        shutil.copytree(copy, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for folder in (disk / "run", disk / "new"):
            check_sentence(start(*run_arguments, f"run_dir={folder}").ended(), str(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_folder(start, run_arguments, copy, check_sentence):
    copy.chmod(0o500)
    try:
        check_sentence(start(*run_arguments, f"run_dir={copy}", "redo=all").ended())
    finally:
        copy.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has such a folder")
def test_folder_that_cannot_be_made(start, run_arguments, check_sentence):
    check_sentence(start(*run_arguments, "run_dir=/proc/pumice").ended(), "/proc/pumice")
