"""Damaged heaps of .net files: refused in little time and memory."""

import subprocess
import sys

import h5py
import pytest

READ_NET = """
import sys
from pathlib import Path
from pumice.errors import PumiceError
from pumice.export.netx.read import read_net
try:
    read_net(sys.argv[1])
except PumiceError as error:
    # not ru_maxrss, which begins with what the process that started this one had
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) >> 10, error)
"""


def refused_net(path, content):
    """(peak of the process in MiB, the sentence) of reading ``content``; in a process of its own, with little time."""
    path.write_bytes(content)
    done = subprocess.run([sys.executable, "-c", READ_NET, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    peak, sentence = done.stdout.split(" ", 1)
    return int(peak), sentence


@pytest.fixture
def net(tmp_path):
    """A file with a text and many texts in attributes, a group, and its bytes."""
    with h5py.File(tmp_path / "a.net", "w") as file:
        file.attrs["class_names"] = ["one", "two", "three"] * 100
        file.create_group("layer/0")["type"] = "dense"
    return tmp_path / "a.net", bytearray((tmp_path / "a.net").read_bytes())


def entries_of(content):
    """Where the entries of the attribute begin: the length of a text, the place of its heap, its number there."""
    return content.index((3).to_bytes(4, "little") + content.index(b"GCOL").to_bytes(8, "little"))


@pytest.mark.parametrize("damage", ["free space", "overlap", "a size that wraps"])
def test_a_heap_that_never_ends_is_refused(net, damage):
    """libhdf5 walks over free space of no size in place, and back where a size wraps, for ever."""
    path, content = net
    start = content.index(b"GCOL")
    place = start + 16
    while content[place : place + 2] != b"\0\0":
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    if damage == "free space":
        content[place + 8 : place + 16] = bytes(8)
    elif damage == "a size that wraps":
        content[place : place + 16] = b"\7\0\0\0\0\0\0\0" + (2**64 - 16).to_bytes(8, "little")
    else:
        heap = b"\1\0\1\0\0\0\0\0" + (16).to_bytes(8, "little") + b"GCOL\1\0\0\0" + (1 << 40).to_bytes(8, "little")
        entry = entries_of(content) + 4
        for number in range(300):  # each walks over all behind it
            content[entry + 16 * number : entry + 16 * number + 8] = (len(content) + 16).to_bytes(8, "little")
            content += heap
    assert "its heap of texts and rows is damaged" in refused_net(path, content)[1]


def test_a_text_that_declares_gibibytes_takes_no_memory(net):
    """libhdf5 takes what an entry declares before it looks into the heap."""
    path, content = net
    place = entries_of(content)
    content[place : place + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    peak, sentence = refused_net(path, content)
    assert "its attribute class_names declares more text than the file holds" in sentence
    assert peak < 1024


def test_rows_of_an_unknown_kind_are_refused(net):
    """libhdf5 calls functions that it does not have: a segmentation fault."""
    path, content = net
    place = content.rindex(b"\x19\1\1\0\x10\0\0\0") + 1  # a text in version 1; its kind follows
    content[place] = 0x09
    assert "type holds rows of an unknown kind, 9" in refused_net(path, content)[1]
