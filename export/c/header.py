"""What calls a program in C: types, constants and functions of its .h file."""

from __future__ import annotations

from ...program import digest
from .generated import COUNTERS, Generated
from .memory import Field
from .names import comment
from .types import literal


def header(generated: Generated) -> list[str]:
    """The lines of the .h file."""
    program, upper = generated.program, generated.name.upper()
    source, state = program.value_input, f"{generated.name}_state"
    macros = {"CLASSES": len(program.class_names), "LOGITS_FRAC": program[program.logits].output.frac}
    macros |= {"INPUTS": source.channels} if source.event_shape else {"TOKENS": source.code_range[1] + 1}
    if source.event_shape:
        macros |= {"INPUT_MIN": source.output.min, "INPUT_MAX": source.output.max}
        macros["INPUT_FRAC"] = source.output.frac
    macros |= {"GAPS": len(program.gap_inputs), "NODES": len(program.nodes)}
    if program.step_us is not None:
        macros["STEP_US"] = program.step_us
    series = generated.series
    if series and program.series is not None:
        macros["SERIES"] = program[program.series].channels
    later = program.pairing == "next"
    lines = [
        f"/* {comment(generated.name)}: an integer program of Pumice in C99. Program {digest(program)[:16]}. */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        *(f"#define {upper}_{name} {literal(value)}" for name, value in macros.items()),
        f"#define {upper}_REFUSED (-1)",
        f"typedef {generated.value_type} {generated.name}_input;",
        f"typedef {generated.logit_type} {generated.name}_logit;",
        "",
        "/* All that a network remembers, and the space that a step works in; as many as there are streams. */",
        "typedef struct {",
        *(f"    {_declaration(each)};" for each in generated.fields),
        "    /* work space: no value is kept here from one call to the next */",
        *(f"    {_declaration(each)};" for each in generated.work),
        f"#ifdef {COUNTERS}",
        f"    int64_t saturations[{len(program.nodes)}], clipped[{len(program.nodes)}];",
        "#endif",
        f"}} {state};",
        "",
        "/* Before the first event of a recording or stream. */",
        f"void {generated.name}_reset({state} *s);",
        "",
        *_told(generated),
        f"{generated.step_signature};",
        "",
    ]
    if not program.clocked:
        behind = " It computes the event before, whose gap ends here." if later else ""
        lines += [
            f"/* One event by its time in microseconds, which must not go backwards.{behind} */",
            f"int {generated.name}_event({state} *s, {generated.value}, uint64_t time_us);",
            "",
        ]
    if series:
        lines += [
            "/* Outputs of every step, after it. */",
            f"const {series.ctype} *{generated.name}_series(const {state} *s);",
            "",
        ]
    return [
        *lines,
        "/* Class scores as they stand, codes that share one scale. Before the first window is complete they mean",
        f"   nothing ({generated.name}_ready gives 0). */",
        f"void {generated.name}_logits({state} *s, {generated.logit_type} logits[{len(program.class_names)}]);",
        f"int {generated.name}_ready(const {state} *s);",
        "",
        "/* The class of the highest score; the first of equal ones. */",
        f"int {generated.name}_decide({state} *s);",
        f"extern const char *const {generated.name}_class_names[{len(program.class_names)}];",
        "",
        "#endif",
    ]


def _told(generated: Generated) -> list[str]:
    program, source = generated.program, generated.program.value_input
    what = "row of codes" if source.event_shape else "token"
    units = ", ".join(f"gap{i} in units of {node.unit_us} us" for i, node in enumerate(program.gap_inputs))
    since = "until the next event" if program.pairing == "next" else "since the event before, 0 for the first"
    return [
        f"/* One {'step' if program.clocked else 'event'}: its {what}" + (f"; {units}, {since}." if units else "."),
        "   1: a read-out took a new value; 0: none; REFUSED: outside of what it takes, nothing has changed. */",
    ]


def _declaration(field: Field) -> str:
    return f"{field.ctype} {field.name}" + (f"[{field.size}]" if field.size else "")
