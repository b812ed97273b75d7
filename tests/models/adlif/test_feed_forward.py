"""Layers without recurrence: what a layer with V = 0 gives, without V; and layers of different widths."""

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.adlif.shapes import adlif_shapes

SIZES = {"num_classes": 3, "in_features": 5, "layers": 2, "hidden": [9, 4]}


@pytest.mark.parametrize("cell", ["lif", "ef-adlif", "se-adlif"])
@pytest.mark.parametrize("implementation", ["numba", "torch"])
def test_it_is_a_layer_with_v_of_zeros(cell, implementation):
    network = AdLIFNetwork(AdLIFConfig(cell=cell, recurrent=False, **SIZES), torch.Generator().manual_seed(0))
    other = AdLIFNetwork(AdLIFConfig(cell=cell, **SIZES), None)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes == dict(adlif_shapes(network.config))
    missing = other.load_state_dict(network.state_dict(), strict=False).missing_keys
    assert missing == ["cells.0.recurrent", "cells.1.recurrent"]
    for layer in (*network.cells, *other.cells):
        layer.implementation = implementation
        with torch.no_grad():
            layer.input.weight.mul_(40)
    x = torch.randn(2, 60, 5, generator=torch.Generator().manual_seed(1))
    found, right = network.sequence(x)[0], other.sequence(x)[0]
    assert network.cells[1].trace(network.cells[0].sequence(x)[0]).z.mean() > 0.01
    torch.testing.assert_close(found, right, rtol=0, atol=0)
    found.square().sum().backward()
    right.square().sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, other.get_parameter(name).grad)
    states, steps = network.initial_state(2), []
    for row in x.unbind(1):
        value, states = network.step(row, states)
        steps.append(value)
    torch.testing.assert_close(torch.stack(steps, 1), found)


@pytest.mark.parametrize("cell", ["lif", "cuba-lif"])
@pytest.mark.parametrize("refractory", [0, 1, 3])
def test_a_late_reset_gives_the_spikes_of_a_held_step(cell, refractory):
    """What is lost in the step of a late reset to zero is what a neuron does not see that is held for one step."""
    settings = {**SIZES, "cell": cell, "hidden": [9, 9], "rise": "one"}
    networks = [
        AdLIFNetwork(AdLIFConfig(**settings, reset=reset, refractory=steps), torch.Generator().manual_seed(0)).double()
        for reset, steps in (("late-zero", 0), ("zero", 1), ("zero", refractory))
    ]
    x = 4 * torch.rand(2, 80, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    late, held, longer = (network.cells[0].sequence(x)[0] for network in networks)
    state, steps = networks[2].initial_state(2), []
    for row in x.unbind(1):
        value, state = networks[2].step(row, state)
        steps.append(value)
    torch.testing.assert_close(torch.stack(steps, 1), networks[2].sequence(x)[0], rtol=1e-12, atol=1e-12)
    assert torch.equal(late, held)
    assert late.sum() > 20
    last = torch.full((2, 9), -99.0)
    for t, spikes in enumerate(longer.unbind(1)):
        assert (t - last[spikes > 0] > refractory).all()
        last[spikes > 0] = t
    assert refractory == 1 or not torch.equal(longer, held)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden": [9]}, r"hidden=\[9\] has 1 entries for layers=2"),
        ({"reset": ["zero"] * 3}, r"reset=\['zero', 'zero', 'zero'\] has 3 entries for layers=2"),
        ({"reset": ["zero", "half"]}, "reset=half is unknown; choose one of zero, subtract, late-zero"),
        ({"reset": "subtract", "cell": "lstm"}, "cell=lstm has no spikes that reset it"),
        ({"refractory": -1}, "refractory=-1 must be a number of steps, 0 to 255"),
        ({"refractory": 256}, "refractory=256 must be a number of steps, 0 to 255"),
        ({"refractory": 1.0}, r"refractory=1\.0 must be a number of steps"),
        ({"refractory": True}, "refractory=True must be a number of steps"),
        ({"refractory": 2, "cell": "lstm"}, "refractory=2, but cell=lstm has no spikes that it follows"),
        (
            {"refractory": 2, "reset": ["zero", "late-subtract"]},
            "reset=late-subtract acts in the first of refractory=2 steps, where nothing changes; set reset=subtract",
        ),
        ({"rise": "two"}, "rise=two is unknown; choose one of leak, one"),
        ({"tau_u": [5, None]}, r"tau_u=\[5, None\] has no leak, which nothing rises by; set rise=one"),
        ({"tau_w": [5, None], "cell": "ef-adlif"}, "has no leak, which ef-adlif needs to be stable"),
        (
            {"tau_u": [5, float("inf")]},
            r"must be a range of two numbers .* or \[5, null\] for no upper",
        ),
        ({"tau_u": [None, 5], "rise": "one", "cell": "lif"}, r"tau_u=\[None, 5\] must rise and lie above 0"),
        ({"tau_u": [0, None], "rise": "one", "cell": "lif"}, r"tau_u=\[0, None\] must rise and lie above 0"),
        ({"tau_i": [0, 5], "cell": "cuba-lif"}, "tau_i"),
        ({"hidden": [9, 0]}, "hidden=0 must be an integer of at least 1"),
        ({"hidden": True}, "hidden=True must be an integer of at least 1"),
        ({"recurrent": 1}, "recurrent"),
        ({"recurrent": False, "cell": "lstm"}, "cell=lstm always is recurrent"),
    ],
)
def test_bad_settings_are_named(settings, sentence):
    with pytest.raises(PumiceError, match=sentence):
        AdLIFConfig(**SIZES | settings)


def test_shapes_are_told_before_layers_take_memory():
    """A file from outside may name any number of layers."""
    config = AdLIFConfig(**SIZES | {"layers": 1 << 60, "hidden": 9})
    first = [shape for _, shape in zip(range(4), adlif_shapes(config), strict=False)]
    assert first[0] == ("cells.0.input.weight", (9, 5))
