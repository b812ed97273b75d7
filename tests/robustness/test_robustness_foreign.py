"""Files from elsewhere, changed at random: a sentence or what they say, in little time and memory."""

import shutil
import subprocess
import sys
from pathlib import Path

import pumice
import pytest
from pumice.api.presets import settings_of
from pumice.export.netx.write import write_net
from pumice.program.random.loihi import random_loihi
from pumice.train.weights import save_weights

FEW, MANY = 60, 2000
SECONDS, MOST_MIB = 120, 64
DENSE_SEED = 15


@pytest.fixture
def files(tmp_path, small_set, write_ecg):
    """One of each kind, as it should be."""
    shutil.copy(small_set / "test.h5", tmp_path / "a.h5")
    write_ecg(tmp_path / "QTDB_train.mat", 10)
    write_net(random_loihi(DENSE_SEED, value="dense"), tmp_path / "a.net")
    info = {"model": settings_of("model", "s5/tiny", {"d_model": 4, "d_ssm": 8})}
    info["task"] = settings_of("task", "spoken-digits")
    save_weights(tmp_path / "a.safetensors", pumice.build_model(info["model"], num_classes=20, vocab=700), info)
    return sorted(tmp_path.iterdir())


def check(files, count):
    """In one process, which must not die, hang, or take much; of each kind some are refused, and some are read."""
    command = [sys.executable, Path(__file__).with_name("foreign.py"), str(count), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 4 * count)
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr[-2000:])
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == count * len(files)
    assert max(int(peak) for _, _, peak, _ in lines) < MOST_MIB
    assert {(name, verdict) for name, _, _, verdict in lines} == {
        (path.name, verdict) for path in files for verdict in ("read", "refused")
    }
    assert sorted(files[0].parent.iterdir()) == files


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")
def test_changed_files(files):
    check(files, FEW)


@pytest.mark.slow
def test_many_changed_files(files):
    check(files, MANY)
