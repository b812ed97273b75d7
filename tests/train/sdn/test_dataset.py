import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn import lif_membrane
from pumice.train.sdn.dataset import GenerateSettings, generate, load_data


def test_defaults_and_names_are_the_published_ones():
    assert GenerateSettings().file_name == "training-mem-T1024-N(0.0,1.0)-50000-tau_0.2.pt"
    assert GenerateSettings(name="test", tau=0.125).file_name == "test-mem-T1024-N(0.0,1.0)-50000-tau_0.125.pt"
    assert GenerateSettings(kind="mixed", samples=10).file_name == "training-mem-T1024-mixed-10-tau_0.2.pt"


def test_a_file_has_the_published_layout(small_file):
    found = torch.load(small_file, weights_only=True)
    assert {name: (value.dtype, tuple(value.shape)) for name, value in found.items()} == {
        "input": (torch.float32, (40, 64)),
        "mem": (torch.float32, (40, 64)),
        "spike": (torch.int32, (40, 64)),
    }
    mem, spikes = lif_membrane(found["input"], 0.125)
    assert torch.equal(mem, found["mem"])
    assert torch.equal(spikes.int(), found["spike"])
    assert found["input"].mean().abs() < 0.1
    assert 0.9 < found["input"].std() < 1.1


def test_what_is_written_comes_back(small_file, small_data):
    found = torch.load(small_file, weights_only=True)
    assert small_data.tau == 0.125
    assert torch.equal(small_data.drive, found["input"])
    assert torch.equal(small_data.membrane, found["mem"])


def test_seeds_give_the_same_bits_and_names_other_data(tmp_path):
    settings = {"samples": 5, "steps": 16}
    first = generate(tmp_path / "a", GenerateSettings(**settings)).read_bytes()
    assert generate(tmp_path / "b", GenerateSettings(**settings)).read_bytes() == first
    inputs = [
        load_data(generate(tmp_path / "c", GenerateSettings(**settings, **other))).drive
        for other in ({}, {"seed": 1}, {"name": "test"}, {"kind": "near"}, {"kind": "mixed"}, {"std": 2.0})
    ]
    assert all(not torch.equal(inputs[0], other) for other in inputs[1:])


def test_more_samples_begin_with_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("pumice.train.sdn.dataset.ROWS", 4)
    done = []
    few = load_data(generate(tmp_path, GenerateSettings(samples=4, steps=8)))
    more = load_data(generate(tmp_path, GenerateSettings(samples=10, steps=8), done.append))
    assert torch.equal(more.drive[:4], few.drive)
    assert done == [4, 8, 10]
    assert not torch.equal(more.drive[:4], more.drive[4:8])


@pytest.mark.parametrize(
    "settings",
    [
        {"tau": 1.0},
        {"tau": float("nan")},
        {"samples": 0},
        {"samples": 100_000},
        {"steps": 0},
        {"kind": "uniform"},
        {"std": -1.0},
        {"mean": float("inf")},
        {"name": "../x"},
        {"name": ".x"},
        {"name": ""},
    ],
)
def test_wrong_settings_are_a_sentence(settings):
    with pytest.raises(PumiceError, match=next(iter(settings))):
        GenerateSettings(**settings)


def test_an_absent_device_is_a_sentence(tmp_path):
    for device in ("cuda:77", "abacus"):
        with pytest.raises(PumiceError, match="device"):
            generate(tmp_path, GenerateSettings(samples=2, steps=4, device=device))


def saved(path, **entries):
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    mem, spikes = lif_membrane(x, 0.125)
    torch.save({"input": x, "mem": mem, "spike": spikes.int()} | entries, path)
    return path


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"more": torch.zeros(1)}, "does not hold input, mem, spike"),
        ({"mem": torch.zeros(4, 7)}, "mem is no array"),
        ({"mem": torch.zeros(4, 8, dtype=torch.float64)}, "mem is no array"),
        ({"spike": torch.zeros(4, 8)}, "spike is no array"),
        ({"input": 3}, "input is no array"),
        ({"input": torch.full((4, 8), torch.inf)}, "not finite"),
        ({"input": torch.zeros(1, 1).expand(4, 8)}, "holds fewer values"),
        ({"mem": torch.zeros(4, 8)}, "not those of a neuron"),
    ],
)
def test_files_that_hold_something_else_are_a_sentence(tmp_path, entries, says):
    with pytest.raises(PumiceError, match=says):
        load_data(saved(tmp_path / "x-tau_0.125.pt", **entries))


def test_files_that_cannot_be_read_are_a_sentence(tmp_path):
    path = tmp_path / "x-tau_0.125.pt"
    with pytest.raises(PumiceError, match="does not exist"):
        load_data(path)
    path.write_bytes(b"nothing")
    with pytest.raises(PumiceError, match="cannot be read"):
        load_data(path)
    torch.save([torch.zeros(2, 2)], path)
    with pytest.raises(PumiceError, match="does not hold"):
        load_data(path)
    torch.save(print, path)
    with pytest.raises(PumiceError, match="cannot be read"):
        load_data(path)
    content = bytearray(saved(path).read_bytes())
    at = content.index(torch.load(path, weights_only=True)["mem"].numpy().tobytes())
    content[at + 70] ^= 1
    path.write_bytes(content)
    with pytest.raises(PumiceError, match="CRC"):
        load_data(path)


def test_tau_is_in_the_name_or_given(tmp_path):
    with pytest.raises(PumiceError, match=r"give tau="):
        load_data(saved(tmp_path / "x.pt"))
    assert load_data(saved(tmp_path / "x.pt"), 0.125).tau == 0.125
    with pytest.raises(PumiceError, match=r"tau=0\.2"):
        load_data(saved(tmp_path / "x-tau_0.2.pt"))
