"""What was counted: plain numbers by node, as JSON on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, SupportsInt

KINDS = ("mac", "gather", "multiply", "add", "round", "divide", "root", "lookup", "function", "compare", "reset")
"""Kinds of operations; docs/op_counts.md defines each."""

_PLURALS = {
    "multiply": "multiplies",
    "add": "adds",
    "round": "rounds",
    "divide": "divides",
    "root": "roots",
    "lookup": "lookups",
    "function": "functions",
    "compare": "comparisons",
    "reset": "resets",
}


@dataclass(frozen=True)
class Operations:
    """Operations of one kind on operands of one width, over all counted samples.

    Attributes:
        kind: one of ``KINDS``.
        what: the operand or step they belong to.
        widths: bits of the two operands; for one operand the second is 0.
        result: bits of the register that takes the result.
        dense: how many there are when nothing is skipped.
        effective: without products that have a zero operand, and additions of nothing.
        accumulate: those of the effective products that need no multiplier, as all operand codes of their event are
            -1, 0 or 1.
    """

    kind: str
    what: str
    widths: tuple[int, int]
    result: int
    dense: int
    effective: int
    accumulate: int = 0


@dataclass(frozen=True)
class Traffic:
    """Bits moved, over all counted samples.

    Attributes:
        weights: parameters read, where columns of a zero operand are skipped.
        weights_dense: parameters read when nothing is skipped.
        state_read: state read.
        state_written: state written.
        inputs_read: values read from the node's input edges.
        outputs_written: values written to its output edge.
    """

    weights: int = 0
    weights_dense: int = 0
    state_read: int = 0
    state_written: int = 0
    inputs_read: int = 0
    outputs_written: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(**{name: value + getattr(other, name) for name, value in asdict(self).items()})


@dataclass(frozen=True)
class NodeCounts:
    """Counts of one node over all counted samples.

    Attributes:
        name: the node's name.
        type: its type.
        runs: how often it made an output; behind a read-out once a sample.
        operations: by kind, step and widths.
        traffic: bits moved.
        parameter_bits: its share of the model memory.
        state_bits: its share of the state memory.
        state_updates: updates of one complex mode of a DiagonalSSM, one an event and mode; of one neuron or leaky
            integrator, one a step.
        digit_steps: decay steps of one complex mode, one a set digit of the gap and mode.
        outputs: codes written to its output edge.
        zero_outputs: those that are zero; -1 where it is not known (float).
        spiking: whether its outputs are the spikes of neurons.
        real: whether its modes are real; ``state_updates`` and ``digit_steps`` are then those of a real mode.
    """

    name: str
    type: str
    runs: int
    operations: tuple[Operations, ...]
    traffic: Traffic
    parameter_bits: int
    state_bits: int
    state_updates: int
    digit_steps: int
    outputs: int
    zero_outputs: int
    spiking: bool = False
    real: bool = False

    def sum(self, kind: str, field: str = "effective") -> int:
        """The sum of one field over all operations of one kind."""
        return sum(getattr(item, field) for item in self.operations if item.kind == kind)

    @property
    def spikes(self) -> int:
        """Spikes that its neurons sent; 0 of other nodes, and where zeros are not known (float)."""
        return self.outputs - self.zero_outputs if self.spiking and self.zero_outputs >= 0 else 0


@dataclass(frozen=True)
class Counts:
    """Counts of a program over some samples.

    Attributes:
        arithmetic: ``integer`` or ``float32``.
        samples: how many samples were counted.
        events: their events.
        nodes: in the program's order.
        clocked: whether an event is one time step of a clocked network.
    """

    arithmetic: str
    samples: int
    events: int
    nodes: tuple[NodeCounts, ...]
    clocked: bool = False

    def __iter__(self) -> Iterator[NodeCounts]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> NodeCounts:
        return next(node for node in self.nodes if node.name == name)

    def sum(self, kind: str, field: str = "effective") -> int:
        """The sum of one field over all operations of one kind in all nodes."""
        return sum(node.sum(kind, field) for node in self.nodes)

    def by_widths(self, kind: str = "mac") -> dict[tuple[int, int], tuple[int, int]]:
        """(dense, effective) of one kind by the widths of its operands, widest last."""
        table: dict[tuple[int, int], tuple[int, int]] = {}
        for node in self.nodes:
            for item in node.operations:
                if item.kind == kind:
                    dense, effective = table.get(item.widths, (0, 0))
                    table[item.widths] = (dense + item.dense, effective + item.effective)
        return dict(sorted(table.items()))

    @property
    def traffic(self) -> Traffic:
        """Bits moved by all nodes."""
        return sum((node.traffic for node in self.nodes), Traffic())

    @property
    def spike_rates(self) -> dict[str, float]:
        """Spikes a neuron and step, by layer of neurons; empty where nothing is known of zeros (float)."""
        return {
            node.name: node.spikes / node.outputs
            for node in self.nodes
            if node.spiking and node.outputs and node.zero_outputs >= 0
        }

    def totals(self) -> dict[str, int]:
        """Sums over all nodes and samples, by a name each; memory is that of the program, not of the samples."""
        totals = {
            "dense_macs": self.sum("mac", "dense"),
            "effective_macs": self.sum("mac") - self.sum("mac", "accumulate"),
            "effective_acs": self.sum("mac", "accumulate"),
            "multiplies_dense": self.sum("multiply", "dense"),
            **{plural: self.sum(kind) for kind, plural in _PLURALS.items()},
            "state_updates": sum(node.state_updates for node in self.nodes),
            "digit_steps": sum(node.digit_steps for node in self.nodes),
        }
        for name, bits in asdict(self.traffic).items():
            totals[f"{name}_bits"] = bits
        totals["parameter_bits"] = sum(node.parameter_bits for node in self.nodes)
        totals["state_bits"] = sum(node.state_bits for node in self.nodes)
        return totals

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: totals over all samples, means an event and a sample, and every node."""
        totals = self.totals()
        rates = {name: value for name, value in totals.items() if name not in ("parameter_bits", "state_bits")}
        return {
            "arithmetic": self.arithmetic,
            "clocked": self.clocked,
            "samples": self.samples,
            "events": self.events,
            "totals": totals,
            "per_event": {name: value / max(self.events, 1) for name, value in rates.items()},
            "per_sample": {name: value / max(self.samples, 1) for name, value in rates.items()},
            "spike_rates": self.spike_rates,
            "nodes": [asdict(node) for node in self.nodes],
        }


@dataclass
class Tally:
    """Collects the operations and traffic of one node over samples."""

    operations: dict[tuple[str, str, tuple[int, int], int], list[int]] = field(default_factory=dict)
    traffic: Traffic = Traffic()
    runs: int = 0
    state_updates: int = 0
    digit_steps: int = 0
    outputs: int = 0
    zero_outputs: int = 0

    def add(
        self,
        kind: str,
        what: str,
        widths: tuple[int, int],
        result: int,
        dense: SupportsInt,
        effective: SupportsInt | None = None,
        accumulate: SupportsInt = 0,
    ) -> None:
        """Count operations; ``effective`` is ``dense`` where nothing can be skipped."""
        entry = self.operations.setdefault((kind, what, widths, result), [0, 0, 0])
        for index, value in enumerate((dense, dense if effective is None else effective, accumulate)):
            entry[index] += int(value)

    def move(self, **bits: SupportsInt) -> None:
        """Count bits moved, by the fields of ``Traffic``."""
        self.traffic = self.traffic + Traffic(**{name: int(value) for name, value in bits.items()})

    def freeze(
        self, name: str, type: str, parameter_bits: int, state_bits: int, spiking: bool, real: bool
    ) -> NodeCounts:
        """The counts of the node; steps that never occurred are left out."""
        return NodeCounts(
            name=name,
            type=type,
            runs=self.runs,
            operations=tuple(Operations(*key, *values) for key, values in self.operations.items() if any(values)),
            traffic=self.traffic,
            parameter_bits=parameter_bits,
            state_bits=state_bits,
            state_updates=self.state_updates,
            digit_steps=self.digit_steps,
            outputs=self.outputs,
            zero_outputs=self.zero_outputs,
            spiking=spiking,
            real=real,
        )
