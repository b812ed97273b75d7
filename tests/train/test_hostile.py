"""Weights, checkpoints and MATLAB files that lie: a sentence, in memory that fits what they hold."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile

import numpy as np
import pytest
import torch
from packed_zeros import MIB, pack_zeros, zlib_zeros
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.train.checkpoint import AtomicCheckpointIO, KeepProgress
from pumice.train.data.sources.dvs_gesture import DvsGestureRecordings
from safetensors.torch import save
from scipy.io import savemat
from tonic.datasets import DVSGesture


def weights(path, header, size=0):
    """A safetensors file of this header, and ``size`` bytes that are not there."""
    content = json.dumps(header).encode() if isinstance(header, dict) else header
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(content)) + content)
        file.truncate(8 + len(content) + size)


def tensor(shape, size, dtype="F32"):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}


def sealed(path, metadata):
    path.write_bytes(save({"a": torch.zeros(3)}, metadata={"pumice": metadata}))


WEIGHTS = {
    "a header of 2**63 bytes": lambda path: path.write_bytes(struct.pack("<Q", 1 << 63) + bytes(100)),
    "a header of 64 MiB": lambda path: weights(path, b'{"__metadata__":{"a":"' + b"x" * 64 * MIB + b'"}}'),
    "a wide header": lambda path: weights(path, b"{" + b'"a":{},' * (8 * MIB) + b"}"),
    "a sparse file of 2**40": lambda path: weights(path, tensor([1 << 38], 1 << 40), 1 << 40),
    "a shape of 2**62": lambda path: weights(path, tensor([1 << 62], 8), 8),
    "a shape whose size wraps": lambda path: weights(path, tensor([1 << 62, 4], 0), 0),
    "overlapping": lambda path: weights(path, tensor([2], 8) | {"b": tensor([2], 8)["a"]}, 8),
    "more than there is": lambda path: weights(path, tensor([2], 8), 0),
    "deep metadata": lambda path: sealed(path, "[" * MIB),
    "other metadata": lambda path: sealed(path, "[1]"),
    "no JSON": lambda path: sealed(path, "{"),
    "not Pumice's": lambda path: path.write_bytes(save({"a": torch.zeros(3)})),
    "a folder": lambda path: path.mkdir(),
}


def checkpoint(path, value=None, packing=zipfile.ZIP_STORED, extra=0, **entries):
    """What torch saves of ``value``, with some entries replaced or added."""
    content = io.BytesIO()
    torch.save(value, content)
    with zipfile.ZipFile(content) as saved, zipfile.ZipFile(path, "w", packing) as archive:
        for name in saved.namelist():
            last = name.rsplit("/", 1)[1].replace(".", "_")
            archive.writestr(name, entries.pop(last) if last in entries else saved.read(name))
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
        if extra:
            pack_zeros(archive, "archive/data/9", b"", extra)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


class Bytes:
    def __reduce__(self):
        return bytearray, (1 << 40,)


CHECKPOINTS = {
    "1 GiB of zeros in 1 MB": lambda path: checkpoint(path, packing=zipfile.ZIP_DEFLATED, extra=1 << 30),
    "code": lambda path: checkpoint(path, data_pkl=pickle.dumps(Payload(), 2)),
    "2**40 bytes by name": lambda path: checkpoint(path, data_pkl=pickle.dumps(Bytes(), 2)),
    "a tensor that repeats one value": lambda path: checkpoint(path, [{"a": torch.zeros(1).expand(1 << 40)}]),
    "a deep list": lambda path: checkpoint(path, data_pkl=b"\x80\x02" + b"(" * MIB + b"l" * MIB + b"."),
    "a plain pickle": lambda path: path.write_bytes(pickle.dumps(Payload())),
    "a tar file": lambda path: path.write_bytes(bytes(10_240)),
    "nothing": lambda path: path.write_bytes(b""),
}


def mat(path, content, kind=15, version=b"\x00\x01IM"):
    path.write_bytes(b" " * 124 + version + struct.pack("<2I", kind, len(content)) + content)


def savemat_zeros(path):
    savemat(path, {"x": np.zeros((1000, 1000, 100), np.int8), "y": np.zeros(1)}, do_compression=True)


MATS = {
    "1 GiB of zeros in 1 MB": lambda path: mat(path, zlib_zeros(1 << 30)),
    "100 MB of zeros in a true file": savemat_zeros,
    "not packed, declared": lambda path: mat(path, bytes(100), kind=14),
    "a long declaration": lambda path: mat(path, b"", kind=0xFFFFFFFF),
    "another version": lambda path: mat(path, b"", version=b"\x00\x02IM"),
    "version 4": lambda path: path.write_bytes(struct.pack("<5I", 0, 1 << 30, 1 << 9, 0, 2) + b"x\0"),
    "cut off": lambda path: mat(path, zlib_zeros(MIB)[:-100]),
    "objects": lambda path: savemat(path, {"x": {"a": 1}, "y": np.array([{}, 1], dtype=object)}),
}


def npz(path, header, content=b"", size=0):
    """An archive of one array with this header; ``size`` zeros after ``content``, packed."""
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(path, "w") as archive:
        pack_zeros(archive, "a.npy", array + content, size)


def savez_objects(path):
    with path.open("wb") as file:
        np.savez(file, a=np.array([Payload()], dtype=object))


NPZS = {
    "objects": savez_objects,
    "1 GiB of zeros in 1 MB": lambda path: npz(
        path, b"{'descr': '|u1', 'fortran_order': False, 'shape': (1073741824,), }\n", size=1 << 30
    ),
    "a shape of 2**60": lambda path: npz(
        path, b"{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976,), }\n", bytes(100)
    ),
    "no archive": lambda path: path.write_bytes(bytes(100)),
}
SAFETENSORS = {name: case for name, case in WEIGHTS.items() if name not in ("not Pumice's", "a folder")}
ZOO = {"weights": WEIGHTS, "checkpoint": CHECKPOINTS, "mat": MATS}
ZOO |= {"npz": NPZS, "pt": CHECKPOINTS, "safetensors": SAFETENSORS}  # weights of others, by their suffix
CASES = [(kind, name) for kind, cases in ZOO.items() for name in cases]

READ = """
import resource, sys
from pathlib import Path
import torch
from pumice.errors import PumiceError
from pumice.train.checkpoint import AtomicCheckpointIO, KeepProgress
from pumice.train.data.sequences.ecg import open_ecg
from pumice.train.foreign import read_weights
from pumice.train.weights import load_weights

READERS = {
    "weights": lambda path: load_weights(path, torch.nn.Linear(3, 4)),
    "checkpoint": lambda path: AtomicCheckpointIO().load_checkpoint(path),
    "mat": lambda path: open_ecg(path.parent, "train", "ignore"),
    **dict.fromkeys(("npz", "pt", "safetensors"), read_weights),
}

def memory(what):
    line = next(line for line in open("/proc/self/status") if line.startswith(what))
    return int(line.split()[1]) * 1024

limit = memory("VmSize") + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for item in sys.argv[1:]:
    kind, path = item.split("=")
    open("/proc/self/clear_refs", "w").write("5")
    before = memory("VmRSS")
    try:
        READERS[kind](Path(path))
    except PumiceError as error:
        assert "\\n" not in str(error), error
        print(memory("VmHWM") - before, error)
    else:
        print(memory("VmHWM") - before, "nothing wrong")
"""


def file_name(kind):
    """Of a case: weights of others tell their kind by their suffix."""
    return f"QTDB_train.{kind if kind in ('npz', 'pt', 'safetensors') else 'mat'}"


@pytest.fixture(scope="module")
def refused(tmp_path_factory, start):
    """Of each hostile file the memory that reading it took, and the sentence; one process, limited to 1 GiB more."""
    folder, items = tmp_path_factory.mktemp("hostile"), []
    for number, (kind, name) in enumerate(CASES):
        (folder / str(number)).mkdir()
        path = folder / str(number) / file_name(kind)
        ZOO[kind][name](path)
        items.append(f"{kind}={path}")
    reading = start(*items, code=READ, cwd=folder)
    reading.ended()
    lines = reading.printed.splitlines()
    assert len(lines) == len(items), reading.errors
    assert not (folder / "executed").exists()
    return dict(zip(CASES, (line.split(" ", 1) for line in lines), strict=True))


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells the peak")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_hostile_files_are_refused_in_little_memory(refused, case):
    taken, sentence = refused[case]
    assert file_name(case[0]) in sentence
    assert int(taken) < (MATS[case[1]] is savemat_zeros if case[0] == "mat" else 0) * 200 * MIB + 96 * MIB


CHANGES = {
    "no state": lambda saved: saved.pop("state_dict"),
    "another shape": lambda saved: saved["state_dict"].update(
        {key: torch.zeros(7) for key in list(saved["state_dict"])[:1]}
    ),
    "no optimizer": lambda saved: saved.pop("optimizer_states"),
    "another optimizer": lambda saved: saved["optimizer_states"][0]["state"].update({0: {"exp_avg": torch.zeros(3)}}),
    "moments of another shape": lambda saved: saved["optimizer_states"][0]["state"][0].update(
        exp_avg=torch.zeros(3, 3, 3)
    ),
    "words for loops": lambda saved: saved.update(loops="x"),
    "no callback": lambda saved: saved.update(callbacks={"KeepProgress": {"best": "x"}}),
    "words for the best": lambda saved: next(iter(saved["callbacks"].values())).update(best={"loss": "x"}),
    "a list": lambda saved: [],
}


@pytest.fixture(scope="module")
def interrupted(small_run, tmp_path_factory):
    """A run folder whose training was interrupted after the first of two epochs."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"

    def stop(keeper, trainer, module):
        trainer.save_checkpoint(keeper.last_path, weights_only=False)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeepProgress, "on_train_epoch_end", stop)
        with pytest.raises(SystemExit) as ended:
            main(["train", *small_run, f"run_dir={folder}"])
    assert ended.value.code == 130
    return folder


@pytest.mark.parametrize("name", CHANGES)
def test_checkpoints_that_do_not_fit_are_a_sentence(interrupted, tmp_path, capsys, name):
    shutil.copytree(interrupted, tmp_path / "run")
    path = tmp_path / "run/checkpoints/last.ckpt"
    saved = AtomicCheckpointIO().load_checkpoint(path)
    made = CHANGES[name](saved)
    torch.save([] if made == [] else saved, path)
    with pytest.raises(SystemExit) as ended:
        main(["train", f"run_dir={tmp_path / 'run'}"])
    error = capsys.readouterr().err
    assert ended.value.code == 2, error
    assert str(path) in error
    assert error.count("\n") == 1


def test_a_checkpoint_that_fits_goes_on(interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        main(["train", f"run_dir={tmp_path / 'run'}"])
    assert ended.value.code == 0


HEADERS = {
    "deep": b"(" * 9000,
    "many signs": b"-" * 9000 + b"1",
    "long": b" " * 60_000,
    "negative": b"{'descr': '<i8', 'fortran_order': False, 'shape': (-5, 4), }",
    "2**62 rows": b"{'descr': '<i8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
    "more rows than there are": b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000, 4), }",
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }",
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_recordings_that_lie_are_a_sentence(dvs_root, name):
    path = sorted((dvs_root / "DVSGesture").glob("**/*.npy"))[0]
    header = HEADERS[name] + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(160))
    with pytest.raises(PumiceError, match=r"\.npy cannot be read as a recording") as refused:
        DvsGestureRecordings(DVSGesture(str(dvs_root), train=path.parent.parent.name.endswith("Train")))
    assert "\n" not in str(refused.value)
