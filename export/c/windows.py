"""Event pools and read-outs."""

from __future__ import annotations

from ...program.formats import Format
from ...program.nodes import GAP_FORMAT, EventPool, Node, Readout
from .arrays import Array
from .block import Block, Emitter
from .types import I64, U8, U32, CType, literal, of_bound, of_format


def event_pool(block: Block, node: EventPool) -> None:
    """``first`` and ``last`` tell the place of the event in its window."""
    block.parameters += ["int first", "int last"]
    x, kind = block.read(), of_format(node.format)
    if node.mode == "first":
        kept = block.state("first", kind, node.size)
        block.output_is(kept)
        block.say("(void)last;", "if (first) {", f"    for (size_t i = 0; i < {node.size}; i++) {{")
        block.say(f"        {kept}[i] = {x}[i];", "    }", "}")
        return
    if node.mode == "last":
        y = block.output()
        block.say("(void)first;", "if (!last) {", "    return;", "}")
        block.loop(node.size, f"{y}[i] = {x}[i];")
        return
    _sums(block, node, x)


def _sums(block: Block, node: EventPool, x: Array) -> None:
    exact = Format(min(node.format.width + (node.window - 1).bit_length(), 64), node.format.signed, 0)
    timed, whole = node.mode == "time", node.format == GAP_FORMAT
    register = I64 if timed or whole else of_bound(max(node.bounds().values()))
    kept = of_format(exact)
    whole_sum = block.state("sum", kept, node.size)
    total = block.declare("total", whole_sum)
    start, count = [f"total[i] = {x}[i];"], [f"total[i] = ({kept})(total[i] + {x}[i]);"]
    w = block.read(1, "w") if timed else None
    if timed:
        weighted = block.state("weighted", I64, node.size)
        weight = block.state("weight", I64, 0)
        block.say("if (first) {", f"    {weight} = 0;", "}", f"{weight} += {w}[0];")
        start.append(f"{weighted}[i] = {w}[0] * {x}[i];")
        count.append(f"{weighted}[i] += {w}[0] * {x}[i];")
    exactly = not node.divides and node.output.min <= node.format.min * node.window and kept == of_format(node.output)
    y = total
    if exactly:  # and gaps stay within their format, as a step refuses longer recordings
        block.output_is(whole_sum)
    else:
        y = block.output()
    inside = ["if (first) {", *(f"    {line}" for line in start), "} else {", *(f"    {line}" for line in count), "}"]
    block.loop(node.size, *inside)
    if exactly:
        block.say("(void)last;")
        return
    block.say("if (!last) {", "    return;", "}")
    plain = f"({register})total[i]"
    if node.divides:
        plain = _mean(block, node, plain, register)
    if timed:
        block.say(f"const int plain = {weight} == 0;")
        by_time = f"{block.call('divide64')}({weighted}[i], {weight})"
        plain = f"plain ? {plain} : {by_time}"
    value = plain if not timed else "value"
    own = [f"const {register} value = {plain};"] if timed else []
    block.loop(node.size, *own, f"{y}[i] = {block.stored(value, node.output, register, y.ctype)};")


def _mean(block: Block, node: EventPool, total: str, register: CType) -> str:
    """The sum over the window's length, rounded: a shift where that is a power of two."""
    bits = node.window.bit_length() - 1
    if node.window == 1 << bits:
        return f"({total} + {literal(1 << (bits - 1))}) >> {bits}"
    return f"{block.call(f'divide{register.bits}')}({total}, {node.window})"


def readout(block: Block, node: Readout) -> None:
    """Takes a value; the value that is read is a function of its own."""
    x, held, kind = block.read(), of_format(node.format), of_format(node.format)
    block.reader = reader = Block(block.kept, node)
    scale = 1 << node.extra_bits
    if node.mode == "last":
        count = block.state("count", U8, 0)
        kept = block.state("held", held, node.size)
        block.loop(node.size, f"{kept}[i] = {x}[i];")
        block.say(f"{count} = 1;")
        register = of_bound(node.format.magnitude * scale)
        _read(reader, node, register, f"({register}){kept}[i] * {scale}")
    elif node.mode == "forget":
        register, count = of_bound(max(node.bounds().values())), block.state("count", U8, 0)
        kept = block.state("held", register, node.size)
        moved = f"(scaled - {kept}[i] + {literal(1 << (node.decay_shift - 1))}) >> {node.decay_shift}"
        block.loop(
            node.size,
            f"const {register} scaled = ({register}){x}[i] * {scale};",
            f"{kept}[i] = {count} == 0 ? scaled : {kept}[i] + ({moved});",
        )
        block.say(f"{count} = 1;")
        _read(reader, node, register, f"{kept}[i]")
    elif node.mode == "window":
        register, count = of_bound(max(node.bounds().values())), block.state("count", U32, 0)
        place, total = block.state("place", U32, 0), block.state("sum", register, node.size)
        recent = block.state("recent", kind, node.size * node.window)
        block.say(f"{kind} *const oldest = {recent} + (size_t){place} * {node.size};")
        block.loop(node.size, f"{total}[i] += ({register}){x}[i] - oldest[i];", f"oldest[i] = {x}[i];")
        block.say(f"{place} = {place} + 1 == {node.window} ? 0 : {place} + 1;")
        block.say(f"{count} = {count} < {node.window} ? {count} + 1 : {count};")
        divide = reader.call(f"divide{register.bits}")
        by = f"{count} == 0 ? 1 : ({register}){count}"
        _read(reader, node, register, f"{divide}({total}[i] * {scale}, {by})")
    else:
        _mean_readout(block, reader, node, x, scale)
        count = Array(f"s->{block.name}_count", I64, 0)
    block.kept.counts.append(count)


def _mean_readout(block: Block, reader: Block, node: Readout, x: Array, scale: int) -> None:
    """The mean of all values, by number or by time."""
    count, total = block.state("count", I64, 0), block.state("sum", I64, node.size)
    divide, most = reader.call("divide64"), f"{count} > 0 ? {count} : 1"
    if node.mode == "mean":
        block.loop(node.size, f"{total}[i] += {x}[i];")
        value = f"{divide}({total}[i] * {scale}, {most})"
    else:
        w, passing = block.read(1, "w"), block.kept.edges[node.inputs[2]]
        weighted, weight = block.state("weighted", I64, node.size), block.state("weight", I64, 0)
        block.after.append((block.kept.program.rates[node.inputs[2]], f"{weight} += ({passing})[0];"))
        block.loop(node.size, f"{total}[i] += {x}[i];", f"{weighted}[i] += {w}[0] * {x}[i];")
        value = f"{weight} > 0 ? {divide}({weighted}[i] * {scale}, {weight}) : {divide}({total}[i] * {scale}, {most})"
    block.say(f"{count}++;")
    _read(reader, node, I64, value)


def _read(reader: Block, node: Readout, register: CType, value: str) -> None:
    y = reader.output()
    stored = reader.stored("value", node.output, register, y.ctype)
    reader.loop(node.size, f"const {register} value = {value};", f"{y}[i] = {stored};")


EMITTERS: dict[type[Node], Emitter] = {EventPool: event_pool, Readout: readout}
