import pytest
import torch
from pumice.errors import PumiceError
from pumice.train.checkpoint import AtomicCheckpointIO
from pumice.train.sealed import read_sealed, write_sealed
from pumice.train.weights import load_weights, save_weights


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    save_weights(tmp_path / "w.safetensors", model, {"epoch": 3, "task": {"name": "x"}})
    return tmp_path / "w.safetensors", model


def test_round_trip(saved):
    path, model = saved
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    assert load_weights(path, other) == {"epoch": 3, "task": {"name": "x"}}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_same_weights_give_the_same_bytes(saved):
    path, model = saved
    again = path.with_name("again.safetensors")
    save_weights(again, model, {"task": {"name": "x"}, "epoch": 3})
    assert again.read_bytes() == path.read_bytes()


def test_every_truncation_is_refused(saved):
    path, model = saved
    content = path.read_bytes()
    for size in (0, 4, 20, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(PumiceError, match="cannot be read as weights"):
            load_weights(path, model)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5)), r"\(4, 3\), but .* needs \(5, 3\)"),
        (torch.nn.Sequential(torch.nn.Linear(3, 4)), "which the model lacks"),
        (torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 4)), "has no tensor|needs|lacks"),
    ],
)
def test_weights_of_another_model_are_refused(saved, other, part):
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(PumiceError, match=part):
        load_weights(saved[0], other)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_missing_weights(tmp_path):
    with pytest.raises(PumiceError, match="does not exist; train first"):
        load_weights(tmp_path / "none.safetensors", torch.nn.Linear(1, 1))


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_checkpoints_never_unpickle_objects(tmp_path, capsys):
    torch.save({"state": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(PumiceError, match="cannot be read"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "evil.ckpt", weights_only=False)
    assert "unpickled" not in capsys.readouterr().out


def test_damaged_checkpoint_is_refused(tmp_path):
    store = AtomicCheckpointIO()
    store.save_checkpoint({"a": torch.arange(1000)}, tmp_path / "a.ckpt")
    assert torch.equal(store.load_checkpoint(tmp_path / "a.ckpt")["a"], torch.arange(1000))
    content = (tmp_path / "a.ckpt").read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "a.ckpt").write_bytes(content[:size])
        with pytest.raises(PumiceError, match="cannot be read"):
            store.load_checkpoint(tmp_path / "a.ckpt")


def test_tensors_of_every_layout_are_sealed(tmp_path):
    tensors = {
        "one": torch.zeros(1).as_strided((1,), (0,)),
        "none": torch.zeros(0, 3),
        "number": torch.tensor(3),
        "turned": torch.arange(6).reshape(2, 3).T,
        "every other": torch.arange(6)[::2],
        "repeated": torch.ones(1).expand(4),
        "truth": torch.tensor([True, False]),
    }
    write_sealed(tmp_path / "x.safetensors", tensors, {"a": 1})
    found, data = read_sealed(tmp_path / "x.safetensors")
    assert data == {"a": 1}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
