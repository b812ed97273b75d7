"""The function that takes one event, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

from ...program.nodes import QUERY, Node
from .arrays import Array
from .generated import Generated
from .types import literal


def refusals(generated: Generated) -> list[str]:
    """Statements that refuse a value which the program cannot take."""
    source, kind = generated.program.value_input, generated.value_type
    if not source.event_shape:
        return [f"if (token >= {source.code_range[1] + 1}u) {{", f"    return {generated.refused};", "}"]
    form, checks = source.output, list[str]()
    if form.min > kind.min:
        checks.append(f"values[i] < {literal(form.min)}")
    if form.max < kind.max:
        checks.append(f"values[i] > {literal(form.max)}")
    if not checks:
        return []
    loop = f"for (size_t i = 0; i < {source.channels}; i++) {{"
    return [loop, f"    if ({' || '.join(checks)}) {{", f"        return {generated.refused};", "    }", "}"]


def step(generated: Generated) -> list[str]:
    """The function that takes an event: each node at its own rate."""
    program, kept = generated.program, generated.kept
    lines = refusals(generated)
    limits = [(f"gap{i}", f"s->elapsed{i}", program.max_duration_us // n.unit_us)
              for i, n in enumerate(program.gap_inputs)]  # fmt: skip
    for gap, elapsed, most in limits:
        lines += [f"if ({gap} < 0 || {gap} > {literal(most)} - {elapsed}) {{", f"    return {generated.refused};", "}"]
    if generated.counts_events:
        lines += [f"if (s->events >= {literal(program.max_events)}) {{", f"    return {generated.refused};", "}"]
        lines.append("s->events++;")
    lines += [f"{elapsed} += {gap};" for gap, elapsed, _ in limits]
    lines.append("int taken = 0;")
    for (before, _), number in generated.windows.items():
        lines += _window(generated, before, number)
    for number, gap_input in enumerate(program.gap_inputs):
        lines.append(f"({kept.edges[gap_input.name]})[0] = gap{number};")
        lines += traced(generated, gap_input, [])
    if not program.value_input.event_shape:
        edge = kept.edges[program.value_input.name]
        lines.append(f"({edge})[0] = ({edge.ctype})token;")
    lines += traced(generated, program.value_input, [])
    for node in program:
        if node.name in generated.blocks and (program.rates[node.name] != QUERY or node.reads_out):
            lines += _called(generated, node)
    return [generated.step_signature, "{", *(f"    {line}" for line in lines), "    return taken;", "}"]


def _window(generated: Generated, before: int, number: int) -> list[str]:
    start, full = f"starts{number}", f"full{number}"
    window = next(rate for (_, rate), its in generated.windows.items() if its == number) // before
    count = [f"{start} = s->place{number} == 0;", f"{full} = s->place{number} == {window - 1};"]
    count.append(f"s->place{number} = {full} ? 0 : s->place{number} + 1;")
    return [f"int {start} = 0, {full} = 0;", *_under(_fires(generated, before), count)]


def _fires(generated: Generated, rate: int) -> str:
    """The condition under which an edge of this rate gets a value; empty for each event."""
    if rate == 1:
        return ""
    return next(f"full{number}" for (_, out), number in generated.windows.items() if out == rate)


def _called(generated: Generated, node: Node) -> list[str]:
    program, block = generated.program, generated.blocks[node.name]
    rate = program.rates[node.inputs[0]]
    arguments = ["s"]
    for parameter in block.parameters:
        number = generated.windows.get((rate, program.rates[node.name]))
        given = {"first": f"starts{number}", "last": f"full{number}"}
        wanted = parameter.split()[-1].lstrip("*")
        arguments.append(given.get(wanted, wanted))
    call = [f"{block.name}({', '.join(dict.fromkeys(arguments))});"]
    lines = [line for its, text in block.after for line in _under(_fires(generated, its), [text])]
    if node.reads_out:
        return [*lines, *_under(_fires(generated, rate), [*call, "taken = 1;"])]
    if program.rates[node.name] != rate:
        lines += _under(_fires(generated, rate), call)
        call = []
    return [
        *lines,
        *_under(_fires(generated, program.rates[node.name]), [*call, *traced(generated, node, block.states)]),
    ]


def traced(generated: Generated, node: Node, states: Sequence[Array]) -> list[str]:
    """Statements that show a node's output and states."""
    edge, number = generated.kept.edges[node.name], generated.kept.numbers[node.name]
    shown = [(0, edge), *((1, state) for state in states)]
    return [f"TRACE({number}, {what}, {array}, {array.size});" for what, array in shown]


def _under(condition: str, lines: list[str]) -> list[str]:
    if not condition or not lines:
        return lines
    return [f"if ({condition}) {{", *(f"    {line}" for line in lines), "}"]
