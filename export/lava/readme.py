"""The README of a bundle: the process graph of its program, and how to run and change it."""

from __future__ import annotations

import json
import textwrap

from ...program import Program, ProgramError
from ...program.nodes import HIDDEN, OUTPUT, Node
from ..about import about_input
from .runtime.parts import FUSED, STOCK, Part, split
from .runtime.synapses import check_parts, synapses

_TEXT = """\
# {classes} classes as a Lava network

An integer program of Pumice, ready to run in lava-nc 0.10.0. It needs Python 3.10, lava-nc and numpy below 2:

    uv run run.py                    # fetches what it needs
    python3.10 run.py                # where lava-nc is installed{variants}
    python3.10 run.py RECORDING ...  # events of your own (below)

{told}

## Files

| file | what it holds |
|---|---|
| `program.npz` | the integer program: nodes, weights, widths, shifts |
| `inputs.npz` | what the source sends: `values`, `gaps`, `pool_gaps`, `flags`; one row a step, int64 |
| `expected.npz` | `logits` (samples, classes) of the simulator, if it was there |
| `run.py` | loads both, runs, compares |
| `encode.py` | from recordings to what the program reads, with numpy alone |
| `encoding.json` | the sensor, the order of tokens, ticks, formats and ranges, class names |
| `pumice/export/lava/runtime/` | the processes and their models, one folder each; `{module}` connects them |
| `pumice/program/` | the program: nodes, their arithmetic and reference, its file format |
| `outputs/` | after a run: `<process>.value.npy`, `.flag.npy`, `.state.npy`, (steps, channels) int64 |
| `failures/` | the traceback of a process model that failed |
| `progress` | the step that the source has reached |
| `run.log` | what a run has said that Pumice started |

## Steps

{steps_are}

## Processes

{recorded} Channels in and out:

```
{graph}
```

Nodes of each process, in order of evaluation; names are those of the program:

```
{nodes}
```

What each type computes; docs/numerics.md of Pumice says it in full:

```
{equations}
```
{stock}
## Events of your own

    python3.10 run.py recording.npy other.csv

{own}
A line tells the class and the score of each, another how many logits differ from the program's own reference in
`pumice/program/` (0 is right). What cannot be a recording is refused by a sentence, exit code 2.

In Python, `Encoder` of `encode.py` gives what the program reads, and `source_arrays` the rows that the source sends:

```python
import json

import numpy as np

from encode import Encoder, read
from pumice.export.lava.runtime.sending import source_arrays
from pumice.program import load

encoder = Encoder(json.load(open("encoding.json")))
sample = encoder.sample(read("recording.npy"), "recording.npy")
np.savez("inputs.npz", **source_arrays(load("program.npz"), [sample]))  # then run.py; remove expected.npz
```

## Changing it

Copy the folder first. Then change `inputs.npz` (any number of steps), a process model under
`pumice/export/lava/runtime/`, or the connections in `{module}`, and run it again. Lava executes every `.py` file that
lies beside a process definition, so keep one process and its model to a folder. An exception in a model ends the run
with its traceback. {rounding}
"""

_TOLD = (
    "It sends {samples} samples, {steps} steps, through the network and prints the class of the largest logit of each, "
    "and how many logits differ from those of Pumice's simulator where `expected.npz` holds them (0 is right)."
)
_EVENTS = (
    "A recording is a `.npy`, `.npz` or `.csv` file with a row an event: t in microseconds, x, and of a camera y and p "
    "(0 and 1, or -1 and 1), by name or in this order. `encoding.json` tells the sensor and the order of tokens."
)
_ROWS = (
    "A recording is a `.npy`, `.npz` or `.csv` file of an array (steps, {width}): a row of values a step. "
    "`encoding.json` tells their width and fractional bits; they are rounded half up and clipped to that."
)
_DECISION = " Sequence tasks decide by what comes out at every step, which is in `outputs/`."
_OURS = "`Source` sends rows of `inputs.npz`; a recorder takes what each process sends."
_LAVAS = (
    "`RingBuffer` sends the valid rows of `inputs.npz`, `Monitor` takes spikes, u and v of each `LIF`, and all are "
    "set to zero between samples."
)
_ROUNDING = "Rounding is half up (`floor(x + 1/2)`), every store saturates."
_LOIHI = "Decays round towards zero, u wraps and v clips at 24 bits, as on the chip."
_EVENT = (
    "One Lava step is one event. Its value, its gaps (time since the last event, in ticks of {tick_us} us for decays) "
    "and a flag travel together."
)
_TICK = "One Lava step is one time step of the network."
_TRAVEL = " Its value and a flag travel together."
_FLAGS = (
    "Flags: 1, the value is valid at the sender's rate; 2, a new sample starts, states return to zero. Every sample is "
    "led by one step with flag 2 and no value. A step that is not valid changes no state."
)
_STRIDED = "A strided layer sends a valid event when its window is full."
_POTENTIALS = "`readout.state.npy` holds the potentials of the integrators, by which sequences are read."
_LOGITS = "Logits are integers with {frac} fractional bits."
_OWN = """
## Lava's own processes

```
{edges}
```

A `Dense` delays by a step: layer l, counted from 0, works on row k of a sample at step k + l + 1 of it, and its bias
acts from the first one on. So u, v and the sums on their way are set to zero after its first l + 1 steps, and as many
empty steps as there are layers follow each sample. The files in `outputs/` are set back: row k is that of `inputs.npz`.
"""
_DENSE = """
## With Lava's own Dense

`run.py --parts stock` takes Lava's `Dense` for all products, as they would lie in synapses; `NeuronLayer` is the rest:

```
{edges}
```

A `Dense` keeps weights of mixed sign in 8 bits above a zero bit. So each gets twice the codes of the program and an
exponent less by one: the exact product. Codes beyond 8 bits are two `Dense`, whose sums add in the port. A `Dense`
delays by a step: layer l, counted from 0, works on row k of the input at step k + l + 1, its flags and recordings too.
The delay of a `Dense` that a layer feeds itself by is the step of its recurrence.
"""


def readme(program: Program, samples: int, steps: int) -> str:
    """The text for ``program``, run on ``samples`` samples in ``steps`` steps.

    Raises:
        ProgramError: a program that does not split into layers.
    """
    parts, own = split(program), bool(program.chip)
    units = [node.unit_us for node in program.gap_inputs if node.name == parts[0].gap_in]
    sentences = [
        _EVENT.format(tick_us=units[0] if units else 1) if program.gap_inputs else _TICK + _TRAVEL * (not own),
        _FLAGS,
    ]
    sentences += [_STRIDED] if any(node.stride > 1 for node in program) else []
    sentences += [_POTENTIALS] if any(state.seen == OUTPUT for node in program for state in node.states()) else []
    sentences += [_LOGITS.format(frac=program[program.logits].output.frac)]
    decision = "" if program.gap_inputs else _DECISION
    stock = ""
    if own:
        stock = _OWN.format(edges="\n".join(_own_edges(program)))
    elif _takes(program, STOCK):
        stock = _DENSE.format(edges="\n".join(_edges(parts)))
    return _TEXT.format(
        classes=len(program.class_names),
        told=textwrap.fill(_TOLD.format(samples=samples, steps=steps) + decision, 120),
        variants="".join(_variants(program)),
        own=textwrap.fill(_own(program), 120),
        steps_are=textwrap.fill(" ".join(sentences), 120),
        graph="\n".join(_lines(program, parts)),
        nodes="\n".join(f"{part.name}\n" + "\n".join(_nodes(part)) for part in parts),
        equations="\n".join(_equations(program)),
        stock=stock,
        module="stock.py" if own else "network.py",
        recorded=textwrap.fill(_LAVAS if own else _OURS, 120),
        rounding=_LOIHI if own else _ROUNDING,
    )


def _own(program: Program) -> str:
    """What a recording is to this program, as `encode.Encoder.sample` takes it."""
    task = json.loads(about_input(program).get("task", "{}"))
    events = not program.value_input.event_shape or task.get("kind") == "binned"
    return _EVENTS if events else _ROWS.format(width=program.value_input.channels)


def _takes(program: Program, parts: str) -> bool:
    try:
        check_parts(program, parts)
    except ProgramError:
        return False
    return True


def _variants(program: Program) -> list[str]:
    texts = {FUSED: "one process for the whole network: faster", STOCK: "Lava's own Dense for all products"}
    offered = [] if program.chip else [parts for parts in texts if _takes(program, parts)]
    return [f"\n    python3.10 run.py --parts {parts:<5}  # {texts[parts]}" for parts in offered]


def _lines(program: Program, parts: list[Part]) -> list[str]:
    width = max(len(part.name) for part in parts)
    lines = [f"{'source':<{width}}  {'-':>4} -> {parts[0].channels_in:<4}"]
    kind = "Lava's Dense and LIF" if program.chip else "Layer"
    for part in parts:
        stride = max(node.stride for node in part.nodes)
        notes = ["counted by the host" if program.chip and part.reads_out else kind]
        if part.state_size:
            notes.append(f"{part.state_size} state codes")
        if stride > 1:
            notes.append(f"one event out for {stride} in")
        lines.append(f"{part.name:<{width}}  {part.channels_in:>4} -> {part.channels_out:<4}  {', '.join(notes)}")
    return lines


def _edges(parts: list[Part]) -> list[str]:
    lines, before = [], "source"
    for part in parts:
        for dense in synapses(part):
            sender, port = (part.name, "recurrent_in") if dense.recurrent else (before, "product_in")
            rows, columns = dense.codes.shape
            lines.append(f"{sender}.value_out -> Dense {dense.name} ({rows} x {columns}) -> {part.name}.{port}")
        lines.append(f"{before}.head_out -> {part.name}.head_in")
        before = part.name
    return lines


def _own_edges(program: Program) -> list[str]:
    lines, before = [], "RingBuffer"
    for node in program:
        for what, matrix in node.synapses().items():
            sender = before if what == "W" else f"LIF {node.name}"
            rows, columns = matrix.shape
            lines.append(f"{sender} -> Dense {node.name}/{what} ({rows} x {columns}) -> LIF {node.name}")
        before = f"LIF {node.name}" if node.synapses() else before
    return lines


def _nodes(part: Part) -> list[str]:
    return [
        f"  {node.name}: {type(node).__name__}({', '.join(node.inputs)}) -> {node.output}{_state(node)}"
        for node in part.nodes
    ]


def _equations(program: Program) -> list[str]:
    """One line a node type, in the order of their first node."""
    kinds = dict.fromkeys(type(node) for node in program if not node.is_input)
    return [f"{kind.__name__}: {kind.equation}" for kind in kinds]


def _state(node: Node) -> str:
    """The states that are recorded, with their formats where all components share one."""
    texts = []
    for state in node.states():
        if state.seen != HIDDEN:
            frac = f".{state.fracs[0]}" if (state.fracs == state.fracs[0]).all() else ""
            texts.append(f", {state.name or 'state'} s{state.width}{frac}")
    return "".join(texts)
