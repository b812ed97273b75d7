import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn import SurrogateDynamicNetwork, lif_membrane, load_sdn, read_sdn, shipped_path, shipped_sdn
from pumice.models.sdn.loading import SHIPPED, sdn_data
from pumice.train.sealed import write_sealed


def test_what_is_written_comes_back(tmp_path, published_network):
    path = tmp_path / "a.safetensors"
    write_sealed(path, published_network.tensors(), sdn_data(published_network, {"from": "a test"}))
    found, info = read_sdn(path)
    assert info == {"from": "a test"}
    assert found.tau == 0.125
    for name, tensor in published_network.tensors().items():
        assert torch.equal(found.tensors()[name], tensor)


@pytest.mark.parametrize("tau", SHIPPED)
def test_shipped_networks_know_their_neuron(tau):
    network = shipped_sdn(tau)
    assert network.tau == tau
    x = torch.randn(50, 1024, generator=torch.Generator().manual_seed(3))
    _, spikes = lif_membrane(x, tau)
    assert (network.spikes(x) == spikes).float().mean() > 0.999
    assert (network.spikes(x) == spikes).float().mean() > ((x >= 1) == (spikes > 0)).float().mean()
    assert shipped_path(tau).stat().st_size < 20_000


def test_another_tau_is_a_sentence():
    with pytest.raises(PumiceError, match=r"tau=0\.3"):
        shipped_sdn(0.3)


def test_files_that_hold_something_else_are_a_sentence(tmp_path, published_network):
    path = tmp_path / "a.safetensors"
    with pytest.raises(PumiceError, match="does not exist"):
        load_sdn(path)
    data = sdn_data(published_network, {})
    for wrong in ({}, {**data, "kind": "s5"}, {**data, "info": 3}, {**data, "format": "1"}):
        write_sealed(path, published_network.tensors(), wrong)
        with pytest.raises(PumiceError, match="cannot be read as a surrogate network"):
            load_sdn(path)
    write_sealed(path, published_network.tensors(), {**data, "format": 2})
    with pytest.raises(PumiceError, match="update Pumice"):
        load_sdn(path)
    write_sealed(path, published_network.tensors(), {**data, "tau": "0.125"})
    with pytest.raises(PumiceError, match="tau"):
        load_sdn(path)


def test_changed_bytes_are_noticed(tmp_path):
    content = bytearray(shipped_path(0.125).read_bytes())
    content[-5] ^= 1
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(PumiceError, match="digest"):
        load_sdn(tmp_path / "a.safetensors")


def test_a_checkpoint_around_it_holds_it(published_network):
    other = SurrogateDynamicNetwork(
        0.125, {name: torch.zeros_like(tensor) for name, tensor in published_network.tensors().items()}
    )
    other.load_state_dict(published_network.state_dict())
    x = torch.randn(3, 20)
    assert torch.equal(other(x), published_network(x))
