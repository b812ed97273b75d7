"""The program file: what is read back is what was written, or the file is refused with a sentence."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from pumice.program import Format, Program, ProgramError, digest, load, reference, save
from pumice.program import storage as module
from pumice.program.nodes import Embedding, Linear, Readout, TokenInput
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


def small_program() -> Program:
    token, code = Format(4, False, 0), Format(8, True, 3)
    nodes = (
        TokenInput(name="token", inputs=(), output=token, vocab=3),
        Embedding(
            name="embedding",
            inputs=("token",),
            output=code,
            table=np.array([[1, -2], [3, 4], [5, -6]]),
            table_width=8,
            table_frac=3,
            token_format=token,
        ),
        Readout(
            name="mean",
            inputs=("embedding",),
            output=Format(16, True, 5),
            format=code,
            size=2,
            mode="mean",
            extra_bits=2,
            window=0,
            decay_shift=0,
        ),
        Linear(
            name="logits",
            inputs=("mean",),
            output=Format(32, True, 9),
            formats=(Format(16, True, 5),),
            weights=(np.array([[7, 1], [-3, 2]]),),
            weight_widths=(8,),
            weight_fracs=(np.array([4, 4]),),
            bias=np.array([10, -10]),
        ),
    )
    return Program(nodes=nodes, logits="logits", pairing="causal", class_names=("no", "yes"), provenance={"seed": 1})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "program.npz"
    save(small_program(), path)
    return path


def rewrite(path, change):
    """Change the entries of a saved file and seal it anew with a valid zip checksum."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def change_header(path, **values):
    def change(entries):
        array = np.load(io.BytesIO(entries["header.npy"]), allow_pickle=False)
        header = {**json.loads(array.tobytes()), **values}
        entries["header.npy"] = npy(np.frombuffer(json.dumps(header).encode(), dtype=np.uint8))

    rewrite(path, change)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_loaded_is_what_was_saved(tmp_path, seed):
    program = random_program(seed)
    path = tmp_path / "deep" / "folder" / "program.npz"
    written = save(program, path)
    loaded = load(path)
    assert written == digest(program) == digest(loaded)
    samples = [random_sample(program, 0, 30)]
    before, after = reference.run(program, samples), reference.run(loaded, samples)
    for name, value in before[0].values.items():
        np.testing.assert_array_equal(value, after[0].values[name])
    assert [type(node) for node in loaded] == [type(node) for node in program]
    assert loaded.provenance == program.provenance


def test_saving_twice_gives_one_digest_and_another_program_another(tmp_path):
    assert save(random_program(1), tmp_path / "a.npz") == save(random_program(1), tmp_path / "b.npz")
    assert save(random_program(1), tmp_path / "a.npz") != save(random_program(2), tmp_path / "b.npz")


def test_any_single_flipped_byte_is_refused_or_harmless(saved):
    original, whole = digest(small_program()), saved.read_bytes()
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        saved.write_bytes(damaged)
        try:
            loaded = load(saved)
        except ProgramError:
            refused += 1
        else:
            assert digest(loaded) == original, place
    assert refused > len(whole) // 2


def test_truncated_at_any_length_is_refused(saved):
    whole = saved.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        saved.write_bytes(whole[:length])
        with pytest.raises(ProgramError, match="damaged, truncated or not a program"):
            load(saved)


def test_a_changed_tensor_is_refused(saved):
    def change(entries):
        (name,) = (name for name in entries if "bias" in name)
        entries[name] = npy(np.array([11, -10]))

    rewrite(saved, change)
    with pytest.raises(ProgramError, match="does not match its digest"):
        load(saved)


def test_a_newer_format_is_refused(saved):
    change_header(saved, version=module.FORMAT_VERSION + 1)
    with pytest.raises(ProgramError, match="update Pumice"):
        load(saved)


@pytest.mark.parametrize("version", ["1", None, True, -1])
def test_a_strange_version_is_refused(saved, version):
    change_header(saved, version=version)
    with pytest.raises(ProgramError):
        load(saved)


def test_other_npz_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ProgramError, match="not a program"):
        load(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", header=np.frombuffer(b'{"format": "other"}', dtype=np.uint8))
    with pytest.raises(ProgramError, match="not a Pumice program"):
        load(tmp_path / "other.npz")


def test_pickled_arrays_are_never_read(saved, tmp_path):
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    def change(entries):
        (name,) = (name for name in entries if "bias" in name)
        entries[name] = npy(np.array([Payload()], dtype=object), allow_pickle=True)

    rewrite(saved, change)
    with pytest.raises(ProgramError):
        load(saved)
    assert not marker.exists()


def test_missing_files_folders_and_other_files_are_named(tmp_path):
    with pytest.raises(ProgramError, match="does not exist"):
        load(tmp_path / "missing.npz")
    with pytest.raises(ProgramError, match="is a folder"):
        load(tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ProgramError, match="not a program"):
        load(tmp_path / "text.npz")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProgramError, match="cannot write"):
        save(small_program(), tmp_path / "file" / "program.npz")


@pytest.mark.parametrize("moment", ["np.savez", "os.fsync", "os.replace"])
def test_a_save_killed_at_any_moment_leaves_the_file_as_it_was(saved, moment):
    before = saved.read_bytes()
    script = f"""
import os, signal, sys
import numpy as np
from pumice.program import save
from pumice.program.random.programs import random_program
def killed(file, *arguments, **options):
    if {moment!r} == "np.savez":
        file.write(b"half a file")
        file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
{moment} = killed
save(random_program(1), {str(saved)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr
    assert saved.read_bytes() == before
    save(small_program(), saved)
    assert digest(load(saved)) == digest(small_program())


def test_a_failed_save_leaves_no_litter(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez", full)
    with pytest.raises(ProgramError, match="No space left"):
        save(small_program(), saved)
    assert [path.name for path in saved.parent.iterdir()] == ["program.npz"]
    assert saved.read_bytes() == before


TENSORS = {"a:weight": np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int16), "b:bias": np.array([7], dtype=np.int64)}
RENAMED = {"a:weigh": TENSORS["a:weight"], "b:bias": TENSORS["b:bias"]}
OTHERS = {
    "the dtype, with the same bytes": {**TENSORS, "a:weight": TENSORS["a:weight"].view(np.uint16)},
    "dtype and shape, with the same bytes": {**TENSORS, "a:weight": TENSORS["a:weight"].view(np.int8)},
    "the shape, with the same bytes": {**TENSORS, "a:weight": TENSORS["a:weight"].reshape(3, 2)},
    "one more axis": {**TENSORS, "a:weight": TENSORS["a:weight"][None]},
    "a name": RENAMED,
    "which tensor holds what": {"a:weight": TENSORS["b:bias"], "b:bias": TENSORS["a:weight"]},
    "one unit": {**TENSORS, "b:bias": np.array([8])},
    "a tensor less": {"a:weight": TENSORS["a:weight"]},
}


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_differs_between_tensors_is_in_the_digest(what):
    header = {"nodes": [], "digest": "whatever stands here"}
    own = module.sealed_by(header, TENSORS)
    assert module.sealed_by({**header, "digest": ""}, dict(reversed(TENSORS.items()))) == own
    assert module.sealed_by(header, OTHERS[what]) != own


def test_the_digest_is_what_its_description_says():
    """SHA-256 over the canonical header, the digest left blank, and each tensor's name, dtype, shape and bytes."""
    header = {"z": 1, "a": [2, {"c": 3, "b": "x"}], "digest": "old"}
    sha = hashlib.sha256(b'{"a":[2,{"b":"x","c":3}],"digest":"","z":1}')
    for name, about in (("a:weight", b'["a:weight", "<i2", [2, 3]]'), ("b:bias", b'["b:bias", "<i8", [1]]')):
        sha.update(about + TENSORS[name].tobytes())
    assert module.sealed_by(header, TENSORS) == sha.hexdigest()


@pytest.mark.parametrize("change", [{"logits": "mean"}, {"pairing": "next"}, {"class_names": ("no", "maybe")},
                                    {"provenance": {"seed": 2}}])  # fmt: skip
def test_whatever_the_header_says_is_in_the_digest(change):
    assert digest(replace(small_program(), **change)) != digest(small_program())


def test_every_field_of_every_node_is_in_the_digest():
    """Fields are told apart by their values: of each node one field is changed in the packed header."""
    header, tensors = module._pack(small_program())
    own = module.sealed_by(header, tensors)
    for index, packed in enumerate(header["nodes"]):
        for name in packed:
            changed = [*header["nodes"]]
            changed[index] = {**packed, name: "another"}
            assert module.sealed_by({**header, "nodes": changed}, tensors) != own
    assert {name for packed in header["nodes"] for name in packed} >= {"registers", "output", "weight_fracs", "vocab"}


@pytest.mark.parametrize("reset", ["zero", "subtract", "late-zero", "late-subtract"])
def test_the_reset_is_written_where_it_is_not_the_first_there_was(tmp_path, reset):
    """Files of before have no such entry, and programs that do the same keep their digest."""
    program = random_network(3, value="dense", cell="lif", reset=reset, refractory=0, layers=1)
    save(program, tmp_path / "program.npz")
    found = load(tmp_path / "program.npz")
    assert found["cells/0"].reset == reset
    assert digest(found) == digest(program)
    with np.load(tmp_path / "program.npz") as arrays:
        header = json.loads(arrays["header"].tobytes())
    (packed,) = (node for node in header["nodes"] if node["name"] == "cells/0")
    assert ("reset" in packed) == (reset != "zero")
    assert "refractory" not in packed
    other = replace(program, nodes=tuple(replace(n, reset="subtract") if n.name == "cells/0" else n for n in program))
    assert (digest(other) == digest(program)) == (reset == "subtract")


@pytest.mark.parametrize("steps", [0, 5])
def test_a_refractory_time_is_written_where_there_is_one(tmp_path, steps):
    program = random_network(3, value="dense", cell="lif", refractory=steps, layers=1)
    save(program, tmp_path / "program.npz")
    assert load(tmp_path / "program.npz")["cells/0"].refractory == steps
    with np.load(tmp_path / "program.npz") as arrays:
        header = json.loads(arrays["header"].tobytes())
    (packed,) = (node for node in header["nodes"] if node["name"] == "cells/0")
    assert packed.get("refractory") == (steps or None)
    other = replace(
        program, nodes=tuple(replace(n, refractory=np.int64(5)) if n.name == "cells/0" else n for n in program)
    )
    assert (digest(other) == digest(program)) == (steps == 5)
