"""Known answers as C: what goes in, and the logits that come out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...program import Program
from ...program.samples import Sample, codes
from .build import call_of, filled
from .generated import Generated
from .types import CType, entry, of_range

MADE_SAMPLES, MADE_EVENTS = 2, 64


def made_samples(program: Program) -> list[Sample]:
    """Inputs of any program where no recording is at hand, the same each time: random tokens or values, gaps of up to
    a few ticks, or one row a step.
    """
    rng, source = np.random.default_rng(0), program.value_input
    longest = 3 * max((node.unit_us for node in program.gap_inputs), default=1)
    samples: list[Sample] = []
    values: np.ndarray
    for _ in range(MADE_SAMPLES):
        if source.event_shape:
            codes_ = rng.integers(
                max(source.output.min, -200), min(source.output.max, 200) + 1, (MADE_EVENTS, source.channels)
            )
            values = codes_ * source.output.scale
        else:
            values = rng.integers(0, source.code_range[1] + 1, MADE_EVENTS)
        steps = rng.integers(0, longest + 1, MADE_EVENTS) if program.gap_inputs else program.step_us or 1
        samples.append((values, np.cumsum(np.broadcast_to(steps, (MADE_EVENTS,)), dtype=np.int64)))
    return samples


def known_answers(generated: Generated, samples: Sequence[Sample], logits: np.ndarray) -> str:
    """The file ``known.c``.

    Args:
        generated: the program.
        samples: what goes in.
        logits: (samples, classes) int64, what comes out.
    """
    program, source = generated.program, generated.program.value_input
    taken = [codes(program, sample, index) for index, sample in enumerate(samples)]
    values = np.concatenate([np.zeros(0, dtype=np.int64), *(own.reshape(-1) for own, _ in taken)])
    kind = generated.value_type if source.event_shape else of_range(0, source.code_range[1], signed=False)
    parts = [
        f"#define SAMPLES {len(samples)}",
        _array("uint32_t", "lengths", np.array([len(own) for own, _ in taken])),
        _array(str(kind), "values", values),
    ]
    for number, node in enumerate(program.gap_inputs):
        gaps = np.concatenate([np.zeros(0, dtype=np.int64), *(own[node.name][:, 0] for _, own in taken)])
        parts.append(_array(str(_gap_type(gaps)), f"gaps{number}", gaps))
    rows = ",\n".join(f"    {{{', '.join(map(entry, row))}}}" for row in logits.tolist())
    answers = f"static const @name@_logit answers[SAMPLES][@NAME@_CLASSES] = {{\n{rows},\n}};"
    parts.append(answers.replace("@name@", generated.name).replace("@NAME@", generated.name.upper()))
    call = call_of(generated, "&state", f"values + event * {source.channels}", "values[event]", "gaps{}[event]")
    return filled("known.c", data="\n".join(parts), call=call, name=generated.name, NAME=generated.name.upper())


def _gap_type(gaps: np.ndarray) -> CType:
    return of_range(0, int(gaps.max(initial=0)), signed=False)


def _array(kind: str, name: str, numbers: np.ndarray) -> str:
    """A constant array; C has none without entries."""
    texts = [f"{entry(number)}," for number in numbers.tolist()] or ["0,"]
    lines = [" ".join(texts[start : start + 20]) for start in range(0, len(texts), 20)]
    return f"static const {kind} {name}[] = {{\n" + "\n".join(f"    {line}" for line in lines) + "\n};"


def main_program(generated: Generated) -> str:
    """The file ``main.c``, which reads what this program takes."""
    program, source = generated.program, generated.program.value_input
    dense, timed = bool(source.event_shape), not program.clocked
    columns, first = int(timed) + source.channels, int(timed)
    what = f"codes of {source.channels} values, {source.output.min} to {source.output.max}" if dense else "a token"
    if not dense:
        what += f" below {source.code_range[1] + 1}"
    line = f"A line is {'its time in microseconds and ' if timed else ''}{what}."
    checks, given = ["numbers[0] < 0"] if timed else [], f"({generated.name}_input)numbers[{first}]"
    lines = [f"#define COLUMNS {columns}", "", "static int take(@name@_state *state, const long long *numbers)", "{"]
    if dense:
        given = "values"
        lines += [
            f"    static @name@_input values[{source.channels}];",
            f"    for (size_t i = 0; i < {source.channels}; i++) {{",
            f"        const long long number = numbers[i + {first}];",
            "        if (number < @NAME@_INPUT_MIN || number > @NAME@_INPUT_MAX) {",
            "            return @NAME@_REFUSED;",
            "        }",
            "        values[i] = (@name@_input)number;",
            "    }",
        ]
    else:
        checks += [f"numbers[{first}] < 0", f"numbers[{first}] >= @NAME@_TOKENS"]
    if checks:
        lines += [f"    if ({' || '.join(checks)}) {{", "        return @NAME@_REFUSED;", "    }"]
    call = f"@name@_event(state, {given}, (uint64_t)numbers[0])" if timed else f"@name@_step(state, {given})"
    lines += [f"    return {call};", "}"]
    return filled("main.c", format=line, take="\n".join(lines), name=generated.name, NAME=generated.name.upper())
