"""The state-space nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...program.nodes import ChannelSSM, DiagonalSSM, Node
from .arrays import Array
from .block import Block, Emitter, repeated, rounded
from .sums import Product, exact_sum
from .types import I32, I64, U32, CType, of_bound, of_format


def diagonal_ssm(block: Block, node: DiagonalSSM) -> None:
    """The gap's decays, then the drive; or, of zero-order hold, the decays between the drive's coming and going."""
    bounds, codes = node.bounds(), node.channels
    drive = of_bound(bounds["the drive"])
    register = of_bound(max(bounds["the drive"], bounds["the state sum"]))
    kind = of_format(node.state_format)
    kept = block.state("x", kind, codes, traced=True)
    u, gap = block.read(0, "u"), block.read(1, "gap")
    x = block.declare("x", kept)
    held = node.discretization == "zoh"
    bare = node.read_shift == 0 and node.output.width >= node.state_width and of_format(node.output) == kind
    y = x if bare else block.output()
    if bare:
        block.output_is(kept)
    block.say(
        f"const {U32} n = {gap}[0] > {node.max_gap} ? {node.max_gap}u : ({U32}){gap}[0];",
        "#ifdef PUMICE_COUNT",
        f"s->clipped[{block.index}] += {gap}[0] > {node.max_gap};",
        "#endif",
    )
    right = block.shifted_right("drive_shift", node.channel_shift, drive)
    weight = np.concatenate([node.input_re, node.input_im])
    bias = np.concatenate([node.bias_re, node.bias_im])
    product = Product("b", weight, node.input_width, u, node.format, counts=block.counts())

    def store(value: str) -> str:
        return block.stored(value, node.state_format, register, kind)

    def wide(value: str) -> str:
        return value if drive == register else f"({register})({value})"

    if held:
        v = block.scratch("v", register, codes)
        inside = _captured(
            block,
            lambda: exact_sum(
                block,
                drive,
                bias,
                [product],
                lambda total, r: [f"{v}[{r}] = {wide(right(total, r))};", f"x[{r}] = {store(f'x[{r}] + {v}[{r}]')};"],
            ),
        )
        inside += _captured(block, lambda: _decays(block, node, x))
        inside += repeated(codes, [f"x[i] = {store(f'x[i] - {v}[i]')};"])
        block.say("if (n != 0) {", *(f"    {line}" for line in inside), "}")
    else:
        _decays(block, node, x)
        exact_sum(
            block,
            drive,
            bias,
            [product],
            lambda total, r: [f"x[{r}] = {store(f'x[{r}] + ({wide(right(total, r))})')};"],
        )
    if not bare:
        wider = I64 if kind.bits == 32 else I32  # with the half unit of its rounding
        value = rounded(f"({wider})x[i]", node.read_shift)
        block.loop(codes, f"{y}[i] = {block.stored(value, node.output, wider, y.ctype)};")


def _captured(block: Block, emit: Callable[[], None]) -> list[str]:
    """The statements that ``emit`` adds, taken out again."""
    start = len(block.lines)
    emit()
    taken = block.lines[start:]
    del block.lines[start:]
    return taken


def _decays(block: Block, node: DiagonalSSM, x: Array) -> None:
    """One step for each binary digit of the gap that is set, least significant first."""
    register, modes, each = of_bound(node.bounds()["the decay step"]), node.modes, node.decays
    names = ("decay_re", "decay_im") if not node.real else ("decay_re",)
    tables = {name: block.table(name, getattr(node, name)[:, :each]) for name in names}
    at = f"j * {each} + p" if each > 1 else "j"
    exponent = block.shifted_right("exponent", node.decay_exponent[:, :each].ravel(), register)
    codes = {name: f"({register}){table}[{at}]" for name, table in tables.items()}

    def moved(old: str, change: str) -> str:
        value = f"{old} + ({exponent(change, at)})"
        return block.stored(value, node.state_format, register, x.ctype)

    step = [f"const {register} re = x[p];"]
    if node.real:
        step.append(f"x[p] = {moved('re', codes['decay_re'] + ' * re')};")
    else:
        step += [
            f"const {register} im = x[{modes} + p];",
            f"x[p] = {moved('re', '{decay_re} * re - {decay_im} * im'.format(**codes))};",
            f"x[{modes} + p] = {moved('im', '{decay_re} * im + {decay_im} * re'.format(**codes))};",
        ]
    inside = ["if ((n >> j & 1u) != 0) {", *(f"    {line}" for line in repeated(modes, step, "p")), "}"]
    block.loop(node.digits, *inside, index="j")


def channel_ssm(block: Block, node: ChannelSSM) -> None:
    """Decay, drive and read of every channel by itself."""
    bounds, modes, channels = node.bounds(), node.modes, node.channels
    decay, output = of_bound(bounds["the decay step"]), of_bound(bounds["the output"])
    drive = of_bound(max(bounds["the drive"], bounds["the state sum"]))
    kind, cells = of_format(node.state_format), modes * channels
    u = block.read(0, "u")
    block.declare("x", block.state("x", kind, 2 * cells, traced=True))
    y = block.output()
    d_re, d_im = (block.each(name, getattr(node, name).ravel()) for name in ("decay_re", "decay_im"))
    exponent = block.shifted_right("exponent", node.decay_exponent.ravel(), decay)
    arriving = block.shifted_right("drive_shift", node.drive_shift.ravel(), drive)

    def moved(register: CType, old: str, change: str) -> str:
        return block.stored(f"{old} + ({change})", node.state_format, register, kind)

    products = {
        "re": f"({decay}){d_re('k')} * re - ({decay}){d_im('k')} * im",
        "im": f"({decay}){d_re('k')} * im + ({decay}){d_im('k')} * re",
    }
    step = [
        f"const size_t k = m * {channels} + h;",
        f"const {decay} re = x[k], im = x[{cells} + k];",
        f"const {kind} kept = {moved(decay, 're', exponent(products['re'], 'k'))};",
        f"x[{cells} + k] = {moved(decay, 'im', exponent(products['im'], 'k'))};",
        f"x[k] = {moved(drive, f'({drive})kept', arriving(f'({drive}){u}[h]', 'k'))};",
    ]
    block.loop(modes, *repeated(channels, step, "h"), index="m")
    c_re, c_im = (block.each(name, getattr(node, name).ravel()) for name in ("output_re", "output_im"))
    fed, bias = block.each("feedthrough", node.feedthrough), block.each("bias", node.bias)
    own = block.shifted_left("state_shift", node.state_shift, output)
    given = block.shifted_left("feedthrough_shift", node.feedthrough_shift, output)
    right = block.shifted_right("output_shift", node.output_shift, output)
    read = [
        f"const size_t k = m * {channels} + h;",
        f"total += ({output}){c_re('k')} * x[k] + ({output}){c_im('k')} * x[{cells} + k];",
    ]
    passed = given(f"({output}){fed('h')} * ({output}){u}[h]", "h")
    total = f"{own('total', 'h')} + {bias('h')} + {passed}"
    block.loop(
        channels,
        f"{output} total = 0;",
        *repeated(modes, read, "m"),
        f"total = {total};",
        f"{y}[h] = {block.stored(right('total', 'h'), node.output, output, y.ctype)};",
        index="h",
    )


EMITTERS: dict[type[Node], Emitter] = {ChannelSSM: channel_ssm, DiagonalSSM: diagonal_ssm}
