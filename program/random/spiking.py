"""Random programs in the shapes that spiking state-space networks lower to, of steps and of events: for tests of
backends.

As in programs.py, the codes mean nothing, and every width, shift and order of nodes that lowering can make occurs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ProgramError
from ..formats import Format
from ..graph import Program
from ..nodes import SPIKES, ChannelSSM, DenseInput, DrivenLIF, Node
from .programs import CHOICES as EVENTS
from .programs import _Builder, _codes, _decays, _signed, embedded_tokens

CHOICES: dict[str, tuple[Any, ...]] = {
    "value": ("token", "dense"),
    "norm": ("layer", "affine", "batch", "none"),
    "readout": ("mean", "last"),
    "layers": (1, 2),
    "state_width": (8, 12, 16, 16, 20, 32),
    "potential_width": (8, 12, 16, 16, 24),
    "weight_width": (2, 4, 8, 12),
    "extreme": (False, False, True),
    "activation_width": (4, 8, 10),
    "width": (2, 3, 5, 9),
    "modes": (1, 2, 3, 4),
    "leak": ("eighth", "fifth", "own", "none"),
    "spread": (8,),
}
"""What may be fixed, and what is drawn from where it is not. ``leak`` is what a potential keeps of the step before."""


class _NeuronsBuilder(_Builder):
    """Neurons that a current drives."""

    def neurons(self, name: str, current: Node) -> Node:
        """The spiking neurons that the state-space node drives."""
        rng, h, leak = self.rng, current.channels, self.pick("leak")
        potential = _signed(int(self.pick("potential_width")), current.output.frac)
        leaks: dict[str, tuple[Any, int]] = {
            "eighth": (1, 3),
            "fifth": (6554, 15),
            "own": (rng.integers(0, 1 << 10, h), 10),
            "none": (0, 0),
        }
        alpha, alpha_frac = leaks[leak]
        low, high = (-1, potential.max + 1) if self.pick("extreme") else (-2, 1 << max(min(potential.frac, 6), 2))
        return self.add(
            DrivenLIF(
                name=name,
                inputs=(current.name,),
                output=SPIKES,
                format=current.output,
                potential=potential,
                threshold=np.minimum(rng.integers(low, high, h), potential.max),
                constant_width=16,
                alpha=np.broadcast_to(alpha, (h,)).astype(np.int64),
                alpha_frac=alpha_frac,
            )
        )


class _SpikingBuilder(_NeuronsBuilder):
    """Layers of S4D channels behind spiking neurons."""

    def channels(self, name: str, u: Node, output: Format) -> Node:
        """The state-space node."""
        rng, extreme, h = self.rng, self.pick("extreme"), u.channels
        modes, width = int(self.pick("modes")), int(self.pick("state_width"))
        decay = {key: value[0] if key != "decay_width" else value for key, value in _decays(rng, 1, modes * h).items()}
        decay |= {key: decay[key].reshape(modes, h) for key in ("decay_re", "decay_im", "decay_exponent")}
        output_width, feedthrough_width = (int(self.pick("weight_width")) for _ in range(2))
        return self.add(
            ChannelSSM(
                name=name,
                inputs=(u.name,),
                output=output,
                format=u.output,
                state_width=width,
                state_frac=u.output.frac + rng.integers(-4, max(2, width - u.output.width), (modes, h)),
                **decay,
                output_re=_codes(rng, output_width, (modes, h), extreme),
                output_im=_codes(rng, output_width, (modes, h), extreme),
                output_width=output_width,
                output_frac=output.frac + rng.integers(0, self.pick("spread"), h),
                feedthrough=_codes(rng, feedthrough_width, (h,), extreme),
                feedthrough_width=feedthrough_width,
                feedthrough_frac=output.frac - u.output.frac + rng.integers(-2, self.pick("spread"), h),
                bias=rng.integers(-1000, 1001, h),
            )
        )

    def block(self, name: str, source: Node) -> Node:
        """One layer, norm and residual path included."""
        rng, form = self.rng, _signed(int(self.pick("activation_width")), int(self.rng.integers(1, 6)))
        u = source
        if self.pick("norm") != "none":
            u = self.norm(f"{name}/norm", source, _signed(8, int(rng.integers(2, 6))))
        current = self.channels(f"{name}/ssm", u, _signed(int(rng.choice([8, 16, 20])), int(rng.integers(2, 9))))
        spikes = self.neurons(f"{name}/neurons", current)
        return self.gated(name, self.linear(f"{name}/y", [spikes], u.channels, form), spikes, source, u.channels)

    def program(self) -> Program:
        rng, width = self.rng, int(self.pick("width"))
        residual = _signed(16, int(rng.integers(2, 10)))
        if self.pick("value") == "token":
            self.nodes += embedded_tokens(rng, residual, 11, width, self.pick("extreme"))
            x = self.nodes[-1]
        else:
            values = self.add(DenseInput(name="dense", inputs=(), output=_signed(8, 5), size=3))
            x = self.linear("encoder", [values], width, residual)
        for layer in range(int(self.pick("layers"))):
            x = self.block(f"blocks/{layer}", x)
        extra = int(rng.integers(0, 5))
        output = _signed(int(rng.choice([16, 20])), x.output.frac + extra)
        self.decode(self.read_out("readout", x, self.pick("readout"), output))
        return Program(
            nodes=tuple(self.nodes),
            logits="decoder",
            pairing="causal",
            class_names=("a", "b", "c"),
            provenance={"seed": "random"},
        )


def random_spiking(seed: int, **fixed: Any) -> Program:
    """A whole program drawn from ``seed``; any of ``CHOICES`` may be fixed by keyword."""
    unknown = set(fixed) - set(CHOICES)
    if unknown:
        raise ProgramError(f"{', '.join(sorted(unknown))}: unknown; use {', '.join(CHOICES)}")
    return _SpikingBuilder(np.random.default_rng(seed), fixed, choices=CHOICES).program()


EVENT_CHOICES: dict[str, tuple[Any, ...]] = {
    **EVENTS,
    **{what: CHOICES[what] for what in ("potential_width", "leak")},
}


class _SpikingEventsBuilder(_NeuronsBuilder):
    """Layers of S5 whose state space ends in spiking neurons."""

    def behind(self, name: str, read: list[Node], skip: Node, out: int, form: Format) -> Node:
        rng = self.rng
        output = _signed(int(rng.choice([8, 16, 20])), int(rng.integers(2, 9)))
        current = self.linear(f"{name}/current", read, out, output, (False, out == read[1].channels))
        spikes = self.neurons(f"{name}/neurons", current)
        return self.gated(name, self.linear(f"{name}/y", [spikes], out, form), spikes, skip, out)


def random_spiking_events(seed: int, **fixed: Any) -> Program:
    """As `random_spiking`, of networks that read events: gaps, strides and pools; choices of ``EVENT_CHOICES``."""
    unknown = set(fixed) - set(EVENT_CHOICES)
    if unknown:
        raise ProgramError(f"{', '.join(sorted(unknown))}: unknown; use {', '.join(EVENT_CHOICES)}")
    return _SpikingEventsBuilder(np.random.default_rng(seed), fixed, choices=EVENT_CHOICES).program()
