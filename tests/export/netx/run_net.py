"""``python run_net.py network.net inputs.npz outputs.npz`` in the environment of lava-dl: spikes of every layer.

``inputs.npz`` holds samples ``0``, ``1``, ... (steps, channels) and ``input_message_bits``; ``outputs.npz`` gets
``<sample>/<layer>``, (steps, neurons), the delays of the layers undone as in pumice's own network of stock processes.
"""

import sys
from types import ModuleType

import numpy as np

try:
    import torch
except ModuleNotFoundError:  # netx imports it for a demonstration network and for resonate-and-fire neurons alone
    torch, parameters = ModuleType("torch"), ModuleType("lava.lib.dl.slayer.neuron.rf")
    torch.tensor = parameters.neuron_params = None
    slayer = {name: ModuleType(name) for name in ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron")}
    sys.modules |= {"torch": torch, parameters.__name__: parameters, **slayer}

from lava.lib.dl.netx.hdf5 import Network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.source import RingBuffer
from lava.proc.monitor.process import Monitor

CONFIG = Loihi2SimCfg(select_tag="fixed_pt")


def main(net_file: str, inputs: str, outputs: str) -> None:
    """Run all samples, each from the zero state."""
    with np.load(inputs) as archive:
        samples = [archive[str(index)] for index in range(len(archive.files) - 1)]
        net = Network(net_config=net_file, input_message_bits=int(archive["input_message_bits"]))
    depth = len(net.layers)
    idle = np.zeros((depth, samples[0].shape[1]), dtype=np.int64)
    rows = np.concatenate([part for sample in samples for part in (sample, idle)])
    source = RingBuffer(data=rows.T)
    source.s_out.connect(net.inp)
    monitors = [Monitor() for _ in net.layers]
    for monitor, layer in zip(monitors, net.layers, strict=True):
        monitor.probe(layer.neuron.s_out, len(rows))
    for number, sample in enumerate(samples):
        for layer in net.layers if number else []:
            reset(layer, incoming=True)
        for layer in net.layers:
            net.run(condition=RunSteps(num_steps=1), run_cfg=CONFIG)
            reset(layer, incoming=False)
        if len(sample):
            net.run(condition=RunSteps(num_steps=len(sample)), run_cfg=CONFIG)
    spikes = [next(iter(next(iter(monitor.get_data().values())).values())) for monitor in monitors]
    net.stop()
    begin, found = 0, {}
    for number, sample in enumerate(samples):
        for index, array in enumerate(spikes):
            found[f"{number}/{index}"] = array[begin + index + 1 :][: len(sample)].astype(np.int64)
        begin += len(sample) + depth
    np.savez(outputs, **found)


def reset(layer, incoming: bool) -> None:
    """Zero u, v and the spikes on their way back; those on their way in as well, where ``incoming``."""
    state = [layer.neuron.u, layer.neuron.v]
    state += [layer.synapse_rec.a_buff] if hasattr(layer, "synapse_rec") else []
    state += [layer.synapse.a_buff] if incoming else []
    for variable in state:
        variable.set(np.zeros(variable.shape, dtype=np.int32))


if __name__ == "__main__":
    main(*sys.argv[1:])
