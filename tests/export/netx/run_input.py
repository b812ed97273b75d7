"""``python run_input.py network.net inputs.npy outputs.npz`` in the environment of lava-dl: inputs with neurons.

``inputs.npy`` (steps, inputs) is handed to their biases step by step, weighed as netx's transform says; ``outputs.npz``
gets the spikes of every layer (steps, neurons), those of the input in the order of the file.
"""

import sys

import numpy as np
from run_net import CONFIG, Monitor, Network, RunSteps


def main(net_file: str, inputs: str, outputs: str) -> None:
    """Run one sample from the zero state."""
    rows = np.load(inputs)
    net = Network(net_config=net_file)
    first, transform = net.layers[0].neuron, net.in_layer.transform
    steps = len(rows) + len(net.layers)
    monitors = [Monitor() for _ in net.layers]
    for monitor, layer in zip(monitors, net.layers, strict=True):
        monitor.probe(layer.neuron.s_out, steps)
    net.run(condition=RunSteps(num_steps=1), run_cfg=CONFIG)  # without a bias nothing happens
    for row in rows:
        bias = transform["weight"] * row + transform["bias"]
        first.bias_mant.set(bias.reshape(first.bias_mant.shape[::-1]).T.astype(np.int32))
        net.run(condition=RunSteps(num_steps=1), run_cfg=CONFIG)
    net.run(condition=RunSteps(num_steps=len(net.layers) - 1), run_cfg=CONFIG)
    found = {}
    for index, monitor in enumerate(monitors):
        spikes = next(iter(next(iter(monitor.get_data().values())).values()))[1 + index :][: len(rows)]
        found[str(index)] = np.stack([step.T.ravel() for step in spikes]).astype(np.int64)
    net.stop()
    np.savez(outputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
