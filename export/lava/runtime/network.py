"""The network of a program: source, layers, read-out, recorders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.utils.weightutils import SignMode

from ....program import Program
from ....program.nodes import SPIKES
from .head import heads
from .layer import Layer
from .neuron_layer import NeuronLayer
from .parts import FUSED, LAYERS, STOCK, Part, split
from .recorder import Recorder
from .source import Source
from .stock import run_stock
from .supervision import stop
from .synapses import check_parts, synapses


def run(program: Program, inputs: dict[str, np.ndarray], outputs: Path, parts: str = LAYERS) -> None:
    """Run all steps; every part leaves ``<name>.flag.npy``, ``.value.npy`` and ``.state.npy`` in ``outputs``.

    ``inputs`` holds what ``inputs.npz`` does, ``parts`` is one of ``parts.PARTS``. Processes of our own delay nothing:
    row k of every file is row k of the input. Lava's Dense delays by a step: behind n of them row k is row k - n, flags
    included, and the network runs n steps longer. A program of Loihi's neurons runs as Lava's own processes alone
    (``stock.py``).

    Raises:
        ProgramError: the program cannot be made of these parts.
    """
    check_parts(program, parts)
    if program.chip:
        run_stock(program, inputs, outputs)
        return
    source = Source(values=inputs["values"], heads=heads(inputs))
    all_parts, steps = split(program), len(inputs["values"])
    if parts == STOCK:
        steps += len(all_parts)
        _connect_stock(source, all_parts, steps, outputs)
    else:
        _connect(source, [all_parts] if parts == FUSED else [[part] for part in all_parts], steps, outputs)
    source.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    stop(source)


def _connect(source: Source, groups: Sequence[Sequence[Part]], steps: int, outputs: Path) -> None:
    last: AbstractProcess = source
    for parts in groups:
        process = Layer(parts=parts)
        last.value_out.connect(process.value_in)
        last.head_out.connect(process.head_in)
        if parts[-1].reads_out:
            source.head_out.connect(process.total_head_in)
        _record(process, parts, steps, outputs)
        last = process


def _connect_stock(source: Source, parts: Sequence[Part], steps: int, outputs: Path) -> None:
    last: AbstractProcess = source
    for part in parts:
        process = NeuronLayer(part=part)
        last.head_out.connect(process.head_in)
        (format,) = part.nodes[0].input_formats
        graded = 0 if format == SPIKES else format.width
        for wanted in synapses(part):
            dense = Dense(
                weights=2 * wanted.codes,
                weight_exp=wanted.exponent - 1,
                num_weight_bits=8,
                sign_mode=SignMode.MIXED,
                num_message_bits=0 if wanted.recurrent else graded,
                name=wanted.name,
            )
            sender, receiver = last.value_out, process.product_in
            if wanted.recurrent:
                sender, receiver = process.value_out, process.recurrent_in
            sender.connect(dense.s_in)
            dense.a_out.connect(receiver)
        _record(process, [part], steps, outputs)
        last = process


def _record(process: AbstractProcess, parts: Sequence[Part], steps: int, outputs: Path) -> None:
    process.record_out.connect(Recorder(parts=parts, steps=steps, folder=outputs).record_in)
