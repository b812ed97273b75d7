"""Changes a file at random and reads it, again and again: a process that `test_robustness_foreign` starts."""

import copy
import random
import sys
from pathlib import Path

import pumice
from pumice.errors import PumiceError
from pumice.export.netx.read import read_net
from pumice.train.data.sequences.ecg import open_ecg
from pumice.train.data.sources.shd_layout import ShdRecordings
from pumice.train.sealed import read_sealed, write_sealed
from test_robustness_mutated import mutated
from test_robustness_resealed import NUMBERS, STRANGE

WORDS = [0, 1, 8, 255, 0xFFFF, (1 << 31) - 1, (1 << 32) - 1, 1 << 33, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
MARKS = [b"\x89HDF", b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR"]


def words_changed(content, rng):
    """Sizes, places and counts near the beginnings of HDF5's structures, replaced by extremes."""
    data = bytearray(content)
    marks = [place for mark in MARKS for place in range(len(data)) if data.startswith(mark, place)]
    for _ in range(rng.choice([1, 1, 2])):
        size = rng.choice([1, 2, 4, 8])
        place = (rng.choice(marks) + rng.randrange(300)) // size * size
        word = rng.choice([*WORDS, len(data), rng.choice(marks)]) % (1 << 8 * size)
        data[place : place + size] = word.to_bytes(size, "little")
    return bytes(data[: len(content)])


def settings_changed(value, rng):
    """Plain data with one entry replaced or left out."""
    value, places = copy.deepcopy(value), []
    holders = [value]
    for holder in holders:
        for key, entry in holder.items() if isinstance(holder, dict) else enumerate(holder):
            places.append((holder, key))
            holders += [entry] if isinstance(entry, (dict, list)) else []
    holder, key = rng.choice(places)
    if rng.random() < 0.1:
        del holder[key]
    else:
        holder[key] = rng.choice([*NUMBERS, *STRANGE])
    return value


READERS = {
    "a.h5": lambda path: ShdRecordings(path, 700, 20),
    "a.net": read_net,
    "QTDB_train.mat": lambda path: open_ecg(path.parent, "train", "ignore"),
    "a.safetensors": pumice.load_model,
}


def read_changed(path, count):
    """Change and read ``path`` again and again; print name and seed first, then what it took (MiB), and the verdict."""
    read, content = READERS[path.name], path.read_bytes()
    sealed = read_sealed(path) if path.suffix == ".safetensors" else None
    for seed in range(count):
        rng = random.Random(seed)
        if sealed:
            write_sealed(path, sealed[0], settings_changed(sealed[1], rng))
        else:
            change = words_changed if rng.random() < 0.6 and path.suffix != ".mat" else mutated
            path.write_bytes(change(content, rng))
        Path("/proc/self/clear_refs").write_text("5")
        sys.stdout.write(f"{path.name} {seed} ")
        sys.stdout.flush()
        before, verdict = memory("VmRSS"), "read"
        try:
            read(path)
        except PumiceError as error:
            verdict = "refused" if "\n" not in str(error) else "several lines"
        sys.stdout.write(f"{memory('VmHWM') - before} {verdict}\n")
        sys.stdout.flush()


def memory(what):
    """MiB of this process."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) >> 10


if __name__ == "__main__":
    for argument in sys.argv[2:]:
        read_changed(Path(argument), int(sys.argv[1]))
