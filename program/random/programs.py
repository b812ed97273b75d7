"""Random whole programs, in the shape that S5 networks lower to, and samples for them: for tests of backends.

The codes mean nothing; every width, shift, mode and order of nodes that lowering can make occurs, extremes included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import ProgramError
from ..formats import Format
from ..graph import Program
from ..nodes import (
    GAP_FORMAT,
    Add,
    BatchNorm,
    DenseInput,
    DiagonalSSM,
    Embedding,
    EventPool,
    GapInput,
    LayerNorm,
    Linear,
    Lookup,
    Multiply,
    Node,
    Readout,
    TokenInput,
)

CHOICES: dict[str, tuple[Any, ...]] = {
    "value": ("token", "dense"),
    "norm": ("layer", "affine", "batch"),
    "discretization": ("async", "dirac", "zoh"),
    "pool": ("first", "mean", "time"),
    "stride": (1, 2, 3, 4),
    "stages": (1, 2),
    "layers": (1, 2),
    "readout": ("mean", "time", "last", "window", "forget"),
    "pairing": ("causal", "next"),
    "state_width": (8, 12, 16, 20, 32),
    "weight_width": (2, 4, 8, 12, 16),
    "extreme": (False, True),
    "activation_width": (4, 8, 10),
    "width": (2, 3, 4, 5, 6),
    "modes": (1, 2, 3, 4, 5, 6),
    "real": (False, True),
    "sampled": ("first", "last", "mean", "time"),
    "normed": (True, False),
    "all_time": (True, False),
    "widen": (False, False, True),
    "vocab": (11,),
    "digits": (1, 2, 3, 4, 5),
    "spread": (10,),
}
"""What may be fixed, and what is drawn from where it is not; modes are real, states pooled
otherwise than by a window's first event, norms left out, the time of incomplete windows, and logits at every output of
the layers (``readout="steps"``), only where that is fixed.

Weight widths are drawn for each operand.
"""


def _signed(width: int, frac: int = 0) -> Format:
    return Format(width=width, signed=True, frac=frac)


def _codes(rng: np.random.Generator, width: int, shape: tuple[int, ...], extreme: bool) -> np.ndarray:
    """Narrow codes; extreme: only the largest, smallest and zero, with whole rows of zeros."""
    top = (1 << (width - 1)) - 1
    if extreme:
        drawn = rng.choice([-top, 0, top], size=shape)
        if shape:
            drawn[rng.random(shape[0]) < 0.15] = 0
        return drawn
    return np.clip(np.rint(rng.normal(0, top / 3, size=shape)), -top, top).astype(np.int64)


def _decays(rng: np.random.Generator, digits: int, modes: int, width: int = 15) -> dict[str, Any]:
    """Complements d = a**(2**j) - 1 with |1 + d| <= 1 exactly, one exponent a mode and digit."""
    rate = -np.exp(rng.uniform(-8, 1, modes)) + 1j * rng.uniform(-3, 3, modes)
    re, im, exponent = (np.zeros((digits, modes), dtype=np.int64) for _ in range(3))
    top = (1 << (width - 1)) - 1
    for j in range(digits):
        for p in range(modes):
            d = np.exp(rate[p] * 2**j) - 1
            e = int(np.clip(np.floor(np.log2(top / max(abs(d.real), abs(d.imag), 1e-9))), 1, 30))
            a, b, one = round(d.real * 2**e), round(d.imag * 2**e), 1 << e
            while (one + a) ** 2 + b**2 > one**2:
                a, b = a - (a > -one), b - (b > 0) + (b < 0)
            if max(abs(a), abs(b)) > top:
                a = b = 0
            re[j, p], im[j, p], exponent[j, p] = a, b, e
    return {"decay_re": re, "decay_im": im, "decay_exponent": exponent, "decay_width": width}


def real_modes(node: DiagonalSSM) -> DiagonalSSM:
    """The same modes without their imaginary parts."""
    return replace(node, input_im=node.input_im[:0], bias_im=node.bias_im[:0], decay_im=node.decay_im[:, :0])


@dataclass
class _Builder:
    """Adds nodes one after the other; every choice not fixed is drawn."""

    rng: np.random.Generator
    fixed: dict[str, Any] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: CHOICES)

    def pick(self, what: str) -> Any:
        if what in self.fixed:
            return self.fixed[what]
        return self.choices[what][self.rng.integers(len(self.choices[what]))]

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def linear(self, name: str, sources: list[Node], out: int, output: Format, diagonal: tuple[bool, ...] = ()) -> Node:
        rng, extreme = self.rng, self.pick("extreme")
        diagonal = diagonal or (False,) * len(sources)
        widths = tuple(int(self.pick("weight_width")) for _ in sources)
        weights, fracs = [], []
        for source, width, diag in zip(sources, widths, diagonal, strict=True):
            weights.append(_codes(rng, width, (out,) if diag else (out, source.channels), extreme))
            # product fracs within 6 bits of one another, around where the output's range is used
            fracs.append(output.frac - source.output.frac + rng.integers(-2, self.pick("spread") - 2, out))
        return self.add(
            Linear(
                name=name,
                inputs=tuple(source.name for source in sources),
                output=output,
                formats=tuple(source.output for source in sources),
                weights=tuple(weights),
                weight_widths=widths,
                weight_fracs=tuple(fracs),
                bias=rng.integers(-1000, 1001, out),
            )
        )

    def norm(self, name: str, source: Node, output: Format) -> Node:
        rng, kind, d = self.rng, self.pick("norm"), source.channels
        if not self.fixed.get("normed", True):
            return self.add(Add(name=name, inputs=(source.name,), output=output, formats=(source.output,), size=d))
        if kind == "batch":
            return self.add(
                BatchNorm(
                    name=name,
                    inputs=(source.name,),
                    output=output,
                    format=source.output,
                    multiplier=_codes(rng, 12, (d,), self.pick("extreme")),
                    multiplier_width=12,
                    bias=rng.integers(-(1 << 18), 1 << 18, d),
                    shift=rng.integers(-1, 20, d),
                )
            )
        affine = kind == "affine"
        return self.add(
            LayerNorm(
                name=name,
                inputs=(source.name,),
                output=output,
                format=source.output,
                size=d,
                root_shift=int(rng.integers(0, 4)),
                epsilon=int(rng.integers(1, 100)),
                gamma=_codes(rng, 12, (d,), False) if affine else np.zeros(0, dtype=np.int64),
                gamma_frac=10 if affine else 0,
                beta=rng.integers(-500, 500, d) if affine else np.zeros(0, dtype=np.int64),
                beta_frac=8 if affine else 0,
            )
        )

    def ssm(self, name: str, u: Node, gap: Node, modes: int) -> Node:
        rng, extreme = self.rng, self.pick("extreme")
        width = int(self.pick("state_width"))
        read_shift = int(rng.choice([0, 0, min(8, width - 4)]))
        state_frac = rng.integers(-1, 8, modes)
        node = DiagonalSSM(
            name=name,
            inputs=(u.name, gap.name),
            output=_signed(min(width - read_shift, 16)),
            format=u.output,
            discretization=self.pick("discretization"),
            input_re=_codes(rng, 8, (modes, u.channels), extreme),
            input_im=_codes(rng, 8, (modes, u.channels), extreme),
            input_width=8,
            input_frac=state_frac - u.output.frac + rng.integers(-2, 8, modes),
            bias_re=rng.integers(-300, 300, modes),
            bias_im=rng.integers(-300, 300, modes),
            state_width=width,
            state_frac=state_frac,
            **_decays(rng, int(self.pick("digits")), modes),
            read_shift=read_shift,
        )
        return self.add(real_modes(node) if self.fixed.get("real") else node)

    def pool(self, name: str, source: Node, window: int, mode: str, weights: str = "") -> Node:
        form = source.output
        if mode == "mean" and window & (window - 1) == 0:
            bits = window.bit_length() - 1
            form = Format(width=form.width + bits, signed=form.signed, frac=form.frac + bits)
        return self.add(
            EventPool(
                name=name,
                inputs=(source.name, weights) if mode == "time" else (source.name,),
                output=form,
                format=source.output,
                size=source.channels,
                window=window,
                mode=mode,
            )
        )

    def layer(
        self, name: str, source: Node, gap: Node, pool_gap: Node, stride: int, out: int
    ) -> tuple[Node, Node, Node]:
        """One S5 layer; returns the nodes (output, gap, pool gap) for the next."""
        rng = self.rng
        form = _signed(int(self.pick("activation_width")), int(rng.integers(1, 6)))
        u = self.norm(f"{name}/norm", source, _signed(8, int(rng.integers(2, 6))))
        state = self.ssm(f"{name}/ssm", u, gap, int(self.pick("modes")))
        mode = self.pick("pool")
        skip = source
        if stride > 1:
            sampled = self.fixed.get("sampled", "first")
            state = self.pool(f"{name}/state", state, stride, sampled, pool_gap.name)
            u = self.pool(f"{name}/u_pool", u, stride, mode, pool_gap.name)
            skip = self.pool(f"{name}/skip_pool", source, stride, mode, pool_gap.name)
            gap = self.pool(f"{name}/gap_pool", gap, stride, "sum")
            pool_gap = self.pool(f"{name}/pool_gap_pool", pool_gap, stride, "sum")
        return self.behind(name, [state, u], skip, out, form), gap, pool_gap

    def behind(self, name: str, read: list[Node], skip: Node, out: int, form: Format) -> Node:
        """What a layer makes of its state and its input, and the residual path."""
        rng, width = self.rng, form.width
        y = self.linear(f"{name}/y", read, out, form, (False, out == read[1].channels))
        table = rng.integers(-(1 << (width - 1)), 1 << (width - 1), 1 << width)
        gelu = self.add(
            Lookup(
                name=f"{name}/gelu", inputs=(y.name,), output=form, format=form, size=out, table=table, function="gelu"
            )
        )
        return self.gated(name, y, gelu, skip, out)

    def gated(self, name: str, y: Node, gelu: Node, skip: Node, out: int) -> Node:
        """``skip + y sigmoid(W gelu + b)``; the skip is brought to ``out`` channels where it has others."""
        rng, form, width = self.rng, y.output, y.output.width
        gate = self.linear(f"{name}/gate", [gelu], out, form)
        unsigned = Format(width=8, signed=False, frac=8)
        sigmoid = self.add(
            Lookup(
                name=f"{name}/sigmoid",
                inputs=(gate.name,),
                output=unsigned,
                format=form,
                size=out,
                table=rng.integers(0, 256, 1 << width),
                function="sigmoid",
            )
        )
        shift = int(rng.integers(-1, 6))
        gated = self.add(
            Multiply(
                name=f"{name}/gated",
                inputs=(y.name, sigmoid.name),
                output=_signed(16, form.frac + 8 - shift),
                formats=(form, unsigned),
                size=out,
            )
        )
        residual = _signed(16, int(rng.integers(2, 10)))
        if skip.channels != out:
            skip = self.linear(f"{name}/skip", [skip], out, residual)
        return self.add(
            Add(
                name=f"{name}/out",
                inputs=(skip.name, gated.name),
                output=residual,
                formats=(skip.output, gated.output),
                size=out,
            )
        )

    def program(self) -> Program:
        rng, width = self.rng, int(self.pick("width"))
        residual = _signed(16, int(rng.integers(2, 10)))
        if self.pick("value") == "token":
            self.nodes += embedded_tokens(rng, residual, int(self.pick("vocab")), width, self.pick("extreme"))
            x = self.nodes[-1]
        else:
            values = self.add(DenseInput(name="values", inputs=(), output=_signed(8, 5), size=3))
            x = self.linear("encoder", [values], width, residual)
        gap = self.add(GapInput(name="gap", inputs=(), output=GAP_FORMAT, unit_us=500))
        full = pool_gap = self.add(GapInput(name="pool_gap", inputs=(), output=GAP_FORMAT, unit_us=1))
        for stage in range(int(self.pick("stages"))):
            for layer in range(int(self.pick("layers"))):
                stride = int(self.pick("stride")) if layer == 0 else 1
                out = int(self.pick("width")) if self.pick("widen") else x.channels
                x, gap, pool_gap = self.layer(f"stages/{stage}/layers/{layer}", x, gap, pool_gap, stride, out)
        mode, extra = self.pick("readout"), int(rng.integers(0, 5))
        if mode == "steps":
            logits = self.read_out("logits", self.decode(x, width=int(rng.choice([32, 64]))), "last")
        else:
            total = full if self.fixed.get("all_time", True) else pool_gap
            weights = (pool_gap.name, total.name) if mode == "time" else ()
            width = int(rng.choice([16, 20]))
            logits = self.decode(self.read_out("readout", x, mode, _signed(width, x.output.frac + extra), weights))
        return Program(
            nodes=tuple(self.nodes),
            logits=logits.name,
            pairing=self.pick("pairing"),
            class_names=("a", "b", "c"),
            provenance={"seed": "random"},
        )

    def read_out(
        self, name: str, x: Node, mode: str, output: Format | None = None, weights: tuple[str, ...] = ()
    ) -> Node:
        """A read-out of ``x``, by default in the format of that."""
        form = output or x.output
        return self.add(
            Readout(
                name=name,
                inputs=(x.name, *weights),
                output=form,
                format=x.output,
                size=x.channels,
                mode=mode,
                extra_bits=form.frac - x.output.frac,
                window=3 if mode == "window" else 0,
                decay_shift=2 if mode == "forget" else 0,
            )
        )

    def decode(self, read: Node, width: int = 64) -> Node:
        """Logits of three classes."""
        rng, top, weight_frac = self.rng, 2047, 6
        logits = Linear(
            name="decoder",
            inputs=(read.name,),
            output=_signed(width, read.output.frac + weight_frac),
            formats=(read.output,),
            weights=(rng.integers(-top, top + 1, (3, read.channels)),),
            weight_widths=(12,),
            weight_fracs=(np.full(3, weight_frac),),
            bias=rng.integers(-(1 << 20), 1 << 20, 3),
        )
        return self.add(logits)


def embedded_tokens(rng: np.random.Generator, output: Format, vocab: int, width: int, extreme: bool) -> list[Node]:
    """Tokens, and their embedding in ``width`` channels."""
    form = Format(width=16, signed=False, frac=0)
    token = TokenInput(name="token", inputs=(), output=form, vocab=vocab)
    embedding = Embedding(
        name="embedding",
        inputs=("token",),
        output=output,
        table=_codes(rng, 8, (vocab, width), extreme),
        table_width=8,
        table_frac=output.frac + int(rng.integers(-9, 4)),
        token_format=form,
    )
    return [token, embedding]


def source(rng: np.random.Generator, pick: Callable[[str], Any], formats: Mapping[str, Format]) -> list[Node]:
    """Dense input, or tokens and their embedding, of a network of neurons: in one of ``formats``."""
    tokens = pick("value") == "token"
    output, channels = formats[pick("input")], int(pick("inputs"))
    if tokens:
        return embedded_tokens(rng, output, 11, channels, pick("extreme"))
    return [DenseInput(name="dense", inputs=(), output=output, size=channels)]


def random_program(seed: int, **fixed: Any) -> Program:
    """A whole program drawn from ``seed``; any of ``CHOICES`` may be fixed by keyword."""
    unknown = set(fixed) - set(CHOICES)
    if unknown:
        raise ProgramError(f"{', '.join(sorted(unknown))}: unknown; use {', '.join(CHOICES)}")
    return _Builder(np.random.default_rng(seed), fixed).program()


def random_sample(program: Program, seed: int, events: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and times (L,): equal times, gaps around half a tick, and gaps longer than any decay holds."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0, 1, 200, 499, 500, 501, 3000, 60_000], size=events)
    times = 10_000 + np.cumsum(steps, dtype=np.int64)
    source = program.value_input
    if not source.event_shape:
        return rng.integers(0, source.code_range[1] + 1, events), times
    return rng.normal(size=(events, *source.event_shape)) * rng.choice([0.1, 1, 30]), times
