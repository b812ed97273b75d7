"""The README of a bundle: the process graph of its program, and how to run and change it."""

from __future__ import annotations

from ...quantize.program import Program
from ...quantize.program.nodes import DiagonalSSM, EventPool
from .runtime.wiring import Wires, wire

_TEXT = """\
# {classes} classes as a Lava network

An integer program of Pumice, ready to run in lava-nc 0.10.0. It needs Python 3.10, lava-nc and numpy below 2:

    uv run run.py             # fetches what it needs
    python3.10 run.py         # where lava-nc is installed
    python3.10 run.py --fused # one process for the whole network: faster, without the values between layers

It sends {samples} samples, {steps} steps, through the network and prints the class of each, and how many logits differ
from those of Pumice's simulator where `expected.npz` holds them (0 is right).

## Files

| file | what it holds |
|---|---|
| `program.npz` | the integer program: nodes, weights, widths, shifts |
| `inputs.npz` | what the source sends: `values`, `gaps`, `pool_gaps`, `flags`; one row a step, int64 |
| `expected.npz` | `logits` (samples, classes) of the simulator, if it was there |
| `run.py` | loads both, runs, compares |
| `pumice/export/lava/runtime/` | the processes and their models, one folder each; `network.py` connects them |
| `pumice/quantize/program/` | reads `program.npz` |
| `outputs/` | after a run: `<process>.value.npy`, `.flag.npy`, `.state.npy`, (steps, channels) int64 |
| `failures/` | the traceback of a process model that failed |

## Steps

One Lava step is one event. Its value, its gaps (time since the last event, in ticks of {tick_us} us for decays) and a
flag travel together. Flags: 1, the event is valid at the sender's rate; 2, a new sample starts, states return to zero.
Every sample is led by one step with flag 2 and no event. A strided layer sends a valid event when its window is full.
Logits are integers with {frac} fractional bits.

## Processes

`Source` sends rows of `inputs.npz`; a recorder takes what each process sends. Channels in and out:

```
{graph}
```

Nodes of each process, in order of evaluation; names are those of the program:

```
{nodes}
```

## Changing it

Copy the folder first. Then change `inputs.npz` (any number of steps), a process model under
`pumice/export/lava/runtime/`, or the connections in `network.py`, and run it again. Lava executes every `.py` file that
lies beside a process definition, so keep one process and its model to a folder. An exception in a model ends the run
with its traceback. Rounding is half up (`floor(x + 1/2)`), every store saturates.
"""


def readme(program: Program, samples: int, steps: int) -> str:
    """The text for ``program``, run on ``samples`` samples in ``steps`` steps.

    Raises:
        ProgramError: a program that does not split into layers.
    """
    wires = wire(program)
    units = [node.unit_us for node in program.gap_inputs if node.name == wires[0].gap_in]
    return _TEXT.format(
        classes=len(program.class_names),
        samples=samples,
        steps=steps,
        tick_us=units[0] if units else 1,
        frac=program[program.logits].output.frac,
        graph="\n".join(_lines(wires)),
        nodes="\n".join(f"{part.name}\n" + "\n".join(_nodes(program, part)) for part in wires),
    )


def _lines(wires: list[Wires]) -> list[str]:
    width = max(len(part.name) for part in wires)
    lines = [f"{'source':<{width}}  {'-':>4} -> {wires[0].channels_in:<4}"]
    for part in wires:
        stride = max((node.stride for node in part.nodes if isinstance(node, EventPool)), default=1)
        notes = []
        if part.state_size:
            notes.append(f"{part.state_size} state codes")
        if stride > 1:
            notes.append(f"one event out for {stride} in")
        kind = "ReadoutProcess" if part.name == "readout" else "Layer"
        ports = f"{part.channels_in:>4} -> {part.channels_out:<4}"
        lines.append(f"{part.name:<{width}}  {ports}  {', '.join([kind, *notes])}")
    return lines


def _nodes(program: Program, part: Wires) -> list[str]:
    lines = []
    for node in part.nodes:
        state = f", state {node.state_format}" if isinstance(node, DiagonalSSM) else ""
        lines.append(f"  {node.name}: {type(node).__name__}({', '.join(node.inputs)}) -> {node.output}{state}")
    return lines
