"""The two files of a program: its functions and constants (.c), and what calls them needs (.h)."""

from __future__ import annotations

from ...program import digest
from ...program.nodes import QUERY
from .block import Block
from .event import event_function
from .generated import COUNTERS, Generated
from .header import header
from .helpers import HELPERS
from .memory import Table
from .names import comment, string
from .step import refusals, step, traced
from .types import entry

_CHECKS = """\
/* What C99 leaves open and this file relies on: two's complement, and shifts to the right that keep the sign. */
typedef char needs_arithmetic_shifts[(-3 >> 1) == -2 ? 1 : -1];
"""
_TRACE = [
    "/* What a program does inside, for comparisons with other backends; empty otherwise. */",
    "#ifdef PUMICE_TRACE",
    "void pumice_trace(int node, int what, int64_t value);",
    "#define TRACE(node, what, array, size)                               \\",
    "    do {                                                             \\",
    "        for (size_t traced = 0; traced < (size); traced++) {         \\",
    "            pumice_trace((node), (what), (int64_t)(array)[traced]);  \\",
    "        }                                                            \\",
    "    } while (0)",
    "#else",
    "#define TRACE(node, what, array, size)",
    "#endif",
    "",
]


def sources(generated: Generated) -> dict[str, str]:
    """The texts of both files by name."""
    texts = {"c": _code(generated), "h": header(generated)}
    return {f"{generated.name}.{end}": "\n".join(lines) + "\n" for end, lines in texts.items()}


def _code(generated: Generated) -> list[str]:
    kept, program = generated.kept, generated.program
    functions = [line for block in generated.blocks.values() for line in _function(generated, block, "")]
    readers = [block.reader for block in generated.blocks.values() if block.reader]
    functions += [line for block in readers for line in _function(generated, block, "_read")]
    parts = [
        f"/* {comment(generated.name)}: program {digest(program)[:16]}; made by Pumice, not to be changed by hand. */",
        f'#include "{generated.name}.h"',
        "",
        _CHECKS,
        *_TRACE,
        *[line for table in kept.tables for line in _table(table)],
        "",
        *(text.replace("STATE", f"{generated.name}_state") for name, text in HELPERS.items() if name in kept.helpers),
        *functions,
        *step(generated),
        "",
    ]
    if not program.clocked:
        parts += [*event_function(generated, refusals(generated)), ""]
    return [*parts, *reading(generated)]


def reading(generated: Generated) -> list[str]:
    """Functions that read the logits and set a state to its start."""
    program, kept = generated.program, generated.kept
    count = len(program.class_names)
    edge = kept.edges[program.logits]
    lines = [f"static void read_out({generated.name}_state *s)", "{"]
    for node in program:
        if program.rates[node.name] != QUERY:
            continue
        suffix = "_read" if node.reads_out else ""
        block = generated.blocks[node.name]
        lines += [f"#ifdef {COUNTERS}", f"    s->saturations[{block.index}] = 0;", "#endif"]
        lines += [f"    {block.name}{suffix}(s);", *(f"    {line}" for line in traced(generated, node, []))]
    lines += [
        "}",
        "",
        f"void {generated.name}_logits({generated.name}_state *s, {edge.ctype} logits[{count}])",
        "{",
        "    read_out(s);",
    ]
    lines += [f"    for (size_t i = 0; i < {count}; i++) {{", f"        logits[i] = ({edge})[i];", "    }", "}", ""]
    lines += [
        f"int {generated.name}_decide({generated.name}_state *s)",
        "{",
        "    int best = 0;",
        "    read_out(s);",
        f"    const {edge.ctype} *const logits = {edge};",
        f"    for (int i = 1; i < {count}; i++) {{",
        "        best = logits[i] > logits[best] ? i : best;",
        "    }",
        "    return best;",
        "}",
        "",
        f"int {generated.name}_ready(const {generated.name}_state *s)",
        "{",
        f"    return {' && '.join(f'{count} != 0' for count in kept.counts)};",
        "}",
        "",
        f"void {generated.name}_reset({generated.name}_state *s)",
        "{",
        "    unsigned char *const bytes = (unsigned char *)s;",
        "    for (size_t i = 0; i < sizeof *s; i++) {",
        "        bytes[i] = 0;",
        "    }",
        "}",
        "",
    ]
    series = generated.series
    if series:
        lines += [
            f"const {series.ctype} *{generated.name}_series(const {generated.name}_state *s)",
            "{",
            f"    return {series};",
            "}",
            "",
        ]
    names = [f"    {string(name)}," for name in program.class_names]
    return [*lines, f"const char *const {generated.name}_class_names[{count}] = {{", *names, "};"]


def _table(table: Table) -> list[str]:
    lines = [f"static const {table.ctype} {table.name}[{table.entries.size}] = {{"]
    line = "   "
    for value in table.entries.tolist():
        text = f" {entry(value)},"
        if len(line) + len(text) > 118:
            lines.append(line)
            line = "   "
        line += text
    return [*lines, line, "};"]


def _function(generated: Generated, block: Block, suffix: str) -> list[str]:
    node = block.node
    what = f"/* {comment(node.name)}: {comment(node.equation)} */"
    parameters = ", ".join(dict.fromkeys([f"{generated.name}_state *s", *block.parameters]))
    body = [line if line.startswith("#") else f"    {line}" for line in block.lines]
    return [what, f"static void {block.name}{suffix}({parameters})", "{", *body, "}", ""]
