"""The function that takes events by their time stamps: it counts ticks as program/clock.py does, step by step."""

from __future__ import annotations

from ...program.nodes import GapInput
from .generated import Generated


def event_function(generated: Generated, refusals: list[str]) -> list[str]:
    """``NAME_event(state, value, time_us)``, by lines; ``refusals`` are statements that check the value."""
    program = generated.program
    units = program.gap_inputs
    dense, later = bool(program.value_input.event_shape), program.pairing == "next"
    what = "values" if dense else "token"
    lines = [
        f"int {generated.name}_event({generated.name}_state *s, {generated.value}, uint64_t time_us)",
        "{",
        "    const uint64_t passed = s->started != 0 ? time_us - s->last_us : 0;",
        f"    if (s->started != 0 && (time_us < s->last_us || passed > {program.max_duration_us}u)) {{",
        f"        return {generated.refused};",
        "    }",
        *(f"    {line}" for line in refusals),
    ]
    for number, node in enumerate(units):
        lines += [f"    {line}" for line in _count_ticks(number, node)]
    gaps = ", ".join(f"(int64_t)gap{number}" for number in range(len(units)))
    given = ("s->waiting" if later else what) + f", {gaps}"
    call = [
        f"const int taken = {generated.name}_step(s, {given});",
        f"if (taken == {generated.refused}) {{",
        "    return taken;",
        "}",
    ]
    if later:
        lines += ["    int result = 0;", "    if (s->started != 0) {"]
        lines += [f"        {line}" for line in call] + ["        result = taken;", "    }"]
    else:
        lines += [f"    {line}" for line in call]
    if later and dense:
        size = program.value_input.event_shape[0]
        lines += [f"    for (size_t i = 0; i < {size}; i++) {{", "        s->waiting[i] = values[i];", "    }"]
    elif later:
        lines.append("    s->waiting = token;")
    lines += [f"    s->phase{number} = phase{number};" for number, node in enumerate(units) if node.unit_us > 1]
    lines += ["    s->last_us = time_us;", "    s->started = 1;", f"    return {'result' if later else 'taken'};", "}"]
    return lines


def _count_ticks(number: int, node: GapInput) -> list[str]:
    """Ticks that end between the last event and this one: floor((2 t + T) / (2 T)) of rounded absolute times."""
    unit = node.unit_us
    if unit == 1:
        return [f"const uint64_t gap{number} = passed;"]
    bits = (2 * unit).bit_length() - 1
    lines = [f"const uint64_t twice{number} = (s->started != 0 ? s->phase{number} : {unit}u) + 2 * passed;"]
    if 2 * unit == 1 << bits:
        return [
            *lines,
            f"const uint64_t gap{number} = twice{number} >> {bits}, phase{number} = twice{number} & {2 * unit - 1}u;",
        ]
    exact = f"twice{number} / {2 * unit}u"
    if 2 * unit < 1 << 32:  # of 32 bits a division is far cheaper
        exact = f"twice{number} <= UINT32_MAX ? (uint32_t)twice{number} / (uint32_t){2 * unit} : {exact}"
    return [
        *lines,
        f"const uint64_t gap{number} = {exact};",
        f"const uint64_t phase{number} = twice{number} - gap{number} * {2 * unit}u;",
    ]
