import io
import sys
import types
import warnings
import zipfile

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn import SurrogateDynamicNetwork, published_tensors, shipped_sdn
from pumice.train.sdn import published as module
from pumice.train.sdn.published import import_published
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore", category=DeprecationWarning)
X = torch.randn(3, 60, generator=torch.Generator().manual_seed(9))


class Spatial(nn.Module):
    """A layer in another code's own words: names and bias are not Pumice's."""

    def __init__(self, bias):
        super().__init__()
        self.conv = nn.Conv1d(8, 8, 8, padding=8, groups=8, bias=bias)
        self.bn = nn.BatchNorm1d(8)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)[..., : x.shape[-1]]))


class Training(nn.Module):
    def __init__(self, bias=True):
        super().__init__()
        self.encoder = nn.Conv1d(1, 8, 1, bias=False)
        self.spatial_layers = nn.ModuleList([Spatial(bias)])
        self.feature_layers = nn.ModuleList([nn.Sequential(nn.Conv1d(8, 8, 1, bias=bias), nn.BatchNorm1d(8))])
        self.decoder = nn.Conv1d(8, 1, 1)

    def forward(self, x):
        h = self.spatial_layers[0](self.encoder(x))
        return self.decoder(F.relu(self.feature_layers[0](h) + h))


class Fused(nn.Module):
    """As the published archive: other names, and an encoder that nothing uses."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(1, 8, 1, bias=False)
        self.spatial_layers = nn.ModuleList([nn.Conv1d(1, 8, 8, padding=8)])
        self.feature_layers = nn.ModuleList([nn.Conv1d(8, 8, 1)])
        self.decoder = nn.Conv1d(8, 1, 1)
        self.size = 8
        self.sizes = [1, 2]

    def forward(self, x):
        h = torch.relu(self.spatial_layers[0](x))[..., : x.shape[-1]]
        return self.decoder(torch.relu(self.feature_layers[0](h) + h))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(1, 8, 8, padding=8)
        self.conv2 = nn.Conv1d(8, 8, 1)
        self.conv3 = nn.Conv1d(8, 1, 1)

    def forward(self, x):
        h = torch.relu(self.conv1(x))[..., : x.shape[-1]]
        return self.conv3(torch.relu(self.conv2(h) + h))


def trained(bias=True):
    torch.manual_seed(0)
    network = Training(bias)
    for _ in range(3):
        network(torch.randn(8, 1, 100))
    return network.eval()


@pytest.fixture
def metrics_class(monkeypatch):
    """A class that a checkpoint pickles, and that would tell if its code ran."""
    ran = []

    class MetricsCheckpoint:
        def __setstate__(self, state):
            ran.append(state)
            self.__dict__.update(state)

    MetricsCheckpoint.__module__, MetricsCheckpoint.__qualname__ = "utils", "MetricsCheckpoint"
    utils = types.ModuleType("utils")
    utils.MetricsCheckpoint = MetricsCheckpoint
    monkeypatch.setitem(sys.modules, "utils", utils)
    return MetricsCheckpoint, ran


@pytest.mark.parametrize("bias", [True, False])
def test_a_checkpoint_with_a_pickled_class_is_read_without_its_code(tmp_path, metrics_class, bias):
    kind, ran = metrics_class
    metrics, network = kind(), trained(bias)
    metrics.best = 0.5
    torch.save({"epoch": 3, "metrics": metrics, "model": network.state_dict()}, tmp_path / "best_checkpoint.pth")
    found, what = import_published(tmp_path / "best_checkpoint.pth", 0.125, 2)
    assert ran == []
    assert "checkpoint" in what
    assert (found.tau, found.sweeps) == (0.125, 2)
    plain = SurrogateDynamicNetwork(0.125, found.tensors())
    torch.testing.assert_close(plain(X), network(X[:, None])[:, 0], rtol=0, atol=1e-5)


def test_the_weights_may_lie_in_the_pickled_object_and_be_prefixed(tmp_path, metrics_class):
    kind, ran = metrics_class
    metrics, network = kind(), trained()
    metrics.state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save(metrics, tmp_path / "best_checkpoint.pth")
    found, _ = import_published(tmp_path / "best_checkpoint.pth", 0.125)
    assert ran == []
    torch.testing.assert_close(found(X), network(X[:, None])[:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [Fused, Plain])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_torchscript_archive(tmp_path, monkeypatch, kind, dtype):
    network = kind().to(dtype)
    torch.jit.script(network).save(str(tmp_path / "sdn.pt"))
    monkeypatch.setattr(torch.jit, "load", None)
    monkeypatch.setattr(torch, "load", None)
    found, what = import_published(tmp_path / "sdn.pt", 0.125)
    assert "TorchScript" in what
    expected = network(X[:, None].to(dtype))[:, 0]
    torch.testing.assert_close(found(X.to(dtype)), expected, rtol=0, atol=1e-6)


def test_fused_weights_as_a_mapping(tmp_path):
    network = Plain()
    torch.save(network.state_dict(), tmp_path / "x.pth")
    found, _ = import_published(tmp_path / "x.pth", 0.125)
    torch.testing.assert_close(found(X), network(X[:, None])[:, 0], rtol=0, atol=1e-6)
    assert published_tensors(network.state_dict()).keys() == found.tensors().keys() == shipped_sdn().tensors().keys()


def state(**changes):
    entries = {**trained().state_dict(), **{name.replace("__", "."): value for name, value in changes.items()}}
    return {name: value for name, value in entries.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "no weights"),
        ({"model": {"a": torch.zeros(2)}}, "no weights"),
        (state(spatial_layers__1__conv__weight=torch.zeros(8, 1, 8)), "several layers"),
        (state(decoder__bias=None), "decoder"),
        (state(encoder__weight=torch.zeros(7, 1, 1)), "spatial_layers.0"),
        (state(spatial_layers__0__bn__weight=torch.zeros(3)), "norm.weight of spatial_layers.0"),
        (state(spatial_layers__0__bn__weight=torch.full((8,), torch.nan)), "finite"),
        (state(spatial_layers__0__more=torch.zeros(3)), "not known"),
        (state(spatial_layers__0__bn__running_var=None), "missing"),
        (state(spatial_layers__0__conv2__weight=torch.zeros(8, 1, 8)), "2 convolutions"),
        ({**Plain().state_dict(), "more": torch.zeros(2)}, "no place for more"),
        (print, "no weights"),
    ],
)
def test_other_content_is_a_sentence(tmp_path, content, says):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(PumiceError, match=says):
        import_published(tmp_path / "x.pth", 0.125)


class Evil:
    """Pickled as a call of ``open`` that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_calls_in_a_pickle_are_never_made(tmp_path):
    torch.save({"model": trained().state_dict(), "x": Evil(tmp_path / "made")}, tmp_path / "x.pth")
    import_published(tmp_path / "x.pth", 0.125)
    assert not (tmp_path / "made").exists()


def test_files_that_cannot_be_read_are_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "x.pth"
    with pytest.raises(PumiceError, match="does not exist"):
        import_published(path, 0.125)
    path.write_bytes(b"nothing")
    with pytest.raises(PumiceError, match="cannot be read"):
        import_published(path, 0.125)
    torch.save(trained().state_dict(), path)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(PumiceError, match="the limit is"):
        import_published(path, 0.125)


def rewritten(path, change, extra=()):
    """The archive at ``path`` with ``change`` made to its data.pkl, and other entries added."""
    source, content = zipfile.ZipFile(path), io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        for name in source.namelist():
            value = source.read(name)
            target.writestr(name, change(value) if name.endswith("/data.pkl") else value)
        for name, value in extra:
            target.writestr(name, value)
    path.write_bytes(content.getvalue())


def shared(depth):
    """A state of modules that each hold the one before twice."""
    module = b"c__torch__\nM\n)\x81}(X\x01\x00\x00\x00aN"
    state = module + b"ubq\x00"
    for level in range(depth):
        again = bytes([level])
        state += b"c__torch__\nM\n)\x81}(X\x01\x00\x00\x00ah" + again + b"X\x01\x00\x00\x00bh" + again
        state += b"ubq" + bytes([level + 1])
    return b"\x80\x02" + state + b"."


HOSTILE = {
    "shares modules": lambda state: shared(31),
    "nests modules": lambda state: shared(40),
    "calls a function": lambda state: state.replace(b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n"),
    "makes an object": lambda state: state.replace(b"c__torch__", b"cbuiltin__", 1),
    "takes the operation": lambda state: b"\x80\x02]q\x00(lq\x01.",
    "is damaged": lambda state: b"\x80\x02}(X\x01\x00\x00\x00au\x86.",
    "holds fewer": lambda state: state.replace(b"K@t", b"K?t", 1),
    "larger than its data": lambda state: state.replace(b"K\x08K\x01K\x08t", b"K\x08K\x01K\xfft", 1),
    "is not contiguous": lambda state: state.replace(b"K\x08K\x08K\x01t", b"K\x00K\x00K\x00t", 1),
    "cut off": lambda state: b"",
    "too deep": lambda state: b"\x80\x02" + b"(" * 70_000 + b".",
    "no number": lambda state: state.replace(b"X\x01\x00\x00\x000q", b"X\x01\x00\x00\x00/q", 1),
    "many": lambda state: b"\x80\x02" + b"N0" * 3 + b"K\x01" * 140_000 + b".",
    "empty": lambda state: b".",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_torchscript_archive_is_a_sentence(tmp_path, what):
    path = tmp_path / "x.pt"
    torch.jit.script(Fused()).save(str(path))
    before = zipfile.ZipFile(path).read("x/data.pkl")
    assert HOSTILE[what](before) != before
    rewritten(path, HOSTILE[what])
    with pytest.raises(PumiceError, match="cannot be read"):
        import_published(path, 0.125)


def test_a_torchscript_archive_of_many_states_or_another_order_is_a_sentence(tmp_path):
    path = tmp_path / "x.pt"
    torch.jit.script(Fused()).save(str(path))
    rewritten(path, lambda state: state, [("y/data.pkl", b".")])
    with pytest.raises(PumiceError, match="no state of a module"):
        import_published(path, 0.125)


def test_a_torchscript_archive_that_shares_much_data_takes_no_memory(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    torch.jit.script(Fused()).save(str(path))
    monkeypatch.setattr("pumice.train.sdn.script_archive._Tensors.most", 600)
    with pytest.raises(PumiceError, match="many times over"):
        import_published(path, 0.125)


def test_a_mapping_that_holds_one_mapping_many_times_over_takes_no_time(tmp_path):
    found = {"a": torch.zeros(1)}
    for _ in range(6):
        found = {str(index): found for index in range(300)}
    torch.save(found, tmp_path / "x.pth")
    with pytest.raises(PumiceError, match="no weights"):
        import_published(tmp_path / "x.pth", 0.125)
