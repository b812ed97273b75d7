"""Documentation inside a model, for viewers such as Netron."""

from __future__ import annotations

from ...program import Program
from ...program.nodes import QUERY, Node
from .inputs import value_input

FORMATS = "formats are s (signed) or u, width in bits, and fractional bits: s8.5 is a signed byte in units of 2**-5"


def tensor_docs(program: Program) -> dict[str, str]:
    """Inputs and outputs by name, or by what goes before the first slash."""
    source = program.value_input
    docs = {
        value_input(source)[0]: f"the event's {source.what}; {FORMATS}",
        "valid": "false: there is no event, and no state changes",
        "state": "what the stream remembers; zeros at its start",
        "next": "the same after this event; feed it as state/... with the next one",
        "trace": "the value of one edge of the program",
        "logits": f"scores of the classes, in units of 2**-{program[program.logits].output.frac}",
    }
    if program.series is not None:
        docs["series"] = (
            f"what {program.series} gives, after every event, in units of 2**-{program[program.series].output.frac}; "
            "events that give nothing repeat the last"
        )
    when = "before" if program.pairing == "causal" else "after"
    for node in program.gap_inputs:
        docs[node.name] = (
            f"time {when} the event in units of {node.unit_us} us: the difference of absolute times since the first "
            f"event, each rounded as floor((2 t + {node.unit_us}) / {2 * node.unit_us})"
        )
    return docs


def node_docs(program: Program) -> dict[str, str]:
    """One sentence a node: type, formats of what it reads and makes, and its rate."""
    return {node.name: _sentence(program, node) for node in program}


def _sentence(program: Program, node: Node) -> str:
    reads = ", ".join(f"{edge} ({program[edge].output})" for edge in node.inputs) or "the host's input"
    rate = program.rates[node.name]
    often = {QUERY: "read at any time", 1: "at every event"}.get(rate, f"at every {rate}th event")
    detail = f" ({node.detail})" if node.detail else ""
    return f"{type(node).__name__}{detail}: reads {reads}; makes {node.channels} x {node.output}, {often}"
