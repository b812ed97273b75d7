"""The README of a program in C: what it takes and gives, and its memory by node."""

from __future__ import annotations

from ...program import digest
from .build import call_of
from .generated import Generated

_TEXT = """\
# {name}: {classes} classes in C99

An integer program of Pumice (digest {digest}) for a microcontroller: `{name}.c` and `{name}.h`, without dependencies,
floating point or dynamic memory. Its integers are those of the program, bit for bit.

| file | what it holds |
|---|---|
| `{name}.c`, `{name}.h` | the network: constants, and all that it computes |
| `known.c` | known answers: `make test` says how many logits differ; on a device `{name}_known_answers()` |
| `main.c` | `./main < input.txt`: decisions on input of whole numbers, a line an {event} |
| `Makefile` | `make all`, `test`, `size`, `stack`; `CROSS=arm-none-eabi-` for another machine |

## Use

```c
#include "{name}.h"

static {name}_state state;        /* {state} bytes; as many as there are streams */

{name}_reset(&state);             /* before a recording or stream */
{call};
int best = {name}_decide(&state); /* at any time; names are in {name}_class_names */
```

{told}

`{name}_step` gives 1 where a read-out took a new value, 0 where not, and `{upper}_REFUSED` (-1) for what it does not
take; then nothing has changed. `{name}_ready` says whether the scores mean anything yet. Logits have {frac} fractional
bits.

## Memory

| section | bytes |
|---|--:|
| flash, constants | {flash} |
| flash, code | `make size`: `.text` less the constants |
| RAM, what a network remembers | {kept} |
| RAM, space that a step works in | {work} |
| RAM, one `{name}_state` in all | {state} |
| stack | no arrays and no recursion; `make stack` lists it by function |

By node, in bytes:

| node | constants | RAM |
|---|--:|--:|
{nodes}

Weights lie in `const` arrays{packed}.{zeros} The size of the struct is that of machines which align each type to its
own size.

## What it relies on

Two's complement, and shifts to the right that keep the sign, as with gcc, clang, armcc, IAR and others; a declaration
in the file fails to compile elsewhere. `stdint.h` and `stddef.h` are the only headers. With `-DPUMICE_COUNT` the state
also counts saturations and clipped gaps by node.
"""
_ZEROS = " Matrices of which only what is not zero is kept, with its place: {count}; {bytes:,} bytes less."


def readme(generated: Generated) -> str:
    """The text."""
    program, source, name = generated.program, generated.program.value_input, generated.name
    own: dict[str, list[int]] = {node.name: [0, 0] for node in program}
    for table in generated.tables:
        own[table.node][0] += table.bytes
    for field in generated.fields:
        if field.node:
            own[field.node][1] += field.bytes
    rows = [f"| {node} | {flash:,} | {ram:,} |" for node, (flash, ram) in own.items() if flash or ram]
    event, saved = "step" if program.clocked else "event", generated.kept.saved
    call = call_of(generated, "&state", "values", "token", "gap{}")
    if source.event_shape:
        form = source.output
        told = [
            f"`values` are {source.channels} codes of {form.width} bits, "
            f"`floor(x * {2.0**form.frac:g} + 1/2)` of each real value x, kept within {form.min} to {form.max}."
        ]
    else:
        told = [f"`token` is a number below {source.code_range[1] + 1}."]
    for number, node in enumerate(program.gap_inputs):
        told.append(f"`gap{number}` is in units of {node.unit_us} us.")
    if not program.clocked:
        what = "the event before" if program.pairing == "next" else "it"
        told.append(
            f"`{name}_event` counts these from time stamps in microseconds, by rounded times, and computes {what}."
        )
    if program.step_us is not None:
        told.append(f"A step is {program.step_us} us long, and every step has to be given.")
    if program.series is not None:
        often = program.rates[program.series]
        which = {1: "last step"}.get(often, f"last step, a new one every {often} events")
        told.append(f"`{name}_series` gives the {program[program.series].channels} outputs of the {which}.")
    kept, work = (sum(field.bytes for field in fields) for fields in (generated.fields, generated.work))
    return _TEXT.format(
        name=name,
        upper=name.upper(),
        classes=len(program.class_names),
        digest=digest(program)[:16],
        event=event,
        call=f"{call};".removesuffix(";"),
        told=" ".join(told),
        frac=program[program.logits].output.frac,
        flash=f"{generated.constant_bytes:,}",
        kept=f"{kept:,}",
        work=f"{work:,}",
        state=f"{generated.state_bytes:,}",
        nodes="\n".join(rows),
        packed=", those of up to 4 bits packed" if generated.pack else "",
        zeros=_ZEROS.format(count=len(saved), bytes=sum(saved.values())) if saved else "",
    )
