"""Files with changed bytes: refused with a sentence that names them, or read as if nothing had happened."""

import random

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn import read_sdn, shipped_path
from pumice.train.sdn.dataset import load_data
from pumice.train.sdn.published import import_published
from torch import nn

TRIALS = 60


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv1d(1, 8, 8, padding=8), nn.Conv1d(8, 8, 1), nn.Conv1d(8, 1, 1)

    def forward(self, x):
        h = torch.relu(self.conv1(x))[..., : x.shape[-1]]
        return self.conv3(torch.relu(self.conv2(h) + h))


def mutated(content, rng):
    data, place = bytearray(content), rng.randrange(len(content))
    kind, size = rng.choice(("turn", "turn", "turn", "blank", "cut", "lose", "double")), rng.choice([1, 4, 64, 1000])
    if kind == "turn":
        for _ in range(rng.choice([1, 1, 3, 20])):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    elif kind == "blank":
        data[place : place + size] = bytes(len(data[place : place + size]))
    elif kind == "cut":
        del data[place:]
    elif kind == "lose":
        del data[place : place + size]
    else:
        data[place:place] = data[place : place + size]
    return bytes(data)


def network(path):
    found, what = import_published(path, 0.125)
    return {name: tensor.tolist() for name, tensor in found.tensors().items()}, what.split()[0]


def reduced(path):
    found, info = read_sdn(path)
    return {name: tensor.tolist() for name, tensor in found.tensors().items()}, found.tau, found.sweeps, info


def data(path):
    found = load_data(path)
    return found.drive.tolist(), found.membrane.tolist(), found.tau


@pytest.fixture
def files(tmp_path, small_file):
    torch.jit.script(Fused()).save(str(tmp_path / "script.pt"))
    torch.save({"model": Fused().state_dict()}, tmp_path / "fused.pth")
    (tmp_path / "sdn.safetensors").write_bytes(shipped_path(0.125).read_bytes())
    (tmp_path / "data-tau_0.125.pt").write_bytes(small_file.read_bytes())
    return tmp_path


READERS = {"script.pt": network, "fused.pth": network, "sdn.safetensors": reduced, "data-tau_0.125.pt": data}


@pytest.mark.parametrize("name", READERS)
def test_changed_bytes(files, name):
    path, read, rng, sentences = files / name, READERS[name], random.Random(name), []
    content, right = path.read_bytes(), read(path)
    for trial in range(TRIALS):
        path.write_bytes(mutated(content, rng))
        try:
            found = read(path)
        except PumiceError as error:
            sentences.append(str(error))
        else:
            assert found == right, trial
    assert len(sentences) > TRIALS / 4
    assert all(str(path) in sentence and "\n" not in sentence for sentence in sentences)
