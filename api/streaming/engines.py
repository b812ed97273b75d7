"""What runs a stream: an integer program in the simulator, or a float model with carried state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from ...hw_sim.simulator.simulator import Simulator
from ...program import Program, digest, replace_readout
from ..samples import told


class Engine(ABC):
    """Runs one stream.

    Attributes:
        class_names: one a logit.
        identity: a digest of what computes; a saved state belongs to it.
        scale: what a unit of the logits is worth.
    """

    class_names: tuple[str, ...]
    identity: str
    scale = 1.0

    @abstractmethod
    def advance(self, values: NDArray, times_us: NDArray[np.int64]) -> None:
        """Take tokens (n,) or rows (n, F) and their times (n,).

        Raises:
            PumiceError: what the program or model cannot take.
        """

    @abstractmethod
    def logits(self) -> NDArray:
        """The logits (classes,) as they stand."""

    @property
    @abstractmethod
    def incomplete(self) -> bool:
        """Whether no window was complete yet, so that the logits mean nothing."""

    @abstractmethod
    def snapshot(self) -> dict[str, NDArray]:
        """All that it remembers."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Go on from a snapshot.

        Raises:
            PumiceError: it is none of this engine.
        """


class IntegerEngine(Engine):
    """A program in the simulator; its integers are those of whole samples, however the stream is cut.

    Args:
        program: any.
        window: read out the mean of the last so many values; None: as the program does.
        forget: read out a mean that forgets over about ``2**forget`` values.

    Raises:
        PumiceError: both, or out of their limits.
    """

    def __init__(self, program: Program, window: int | None = None, forget: int | None = None) -> None:
        with told():
            if window is not None:
                program = replace_readout(program, mode="window", window=window)
            elif forget is not None:
                program = replace_readout(program, mode="forget", decay_shift=forget)
        self._simulator = Simulator(program)
        self._simulator.read()  # the compiled machine is loaded before anybody looks at the clock
        self.class_names, self.scale = program.class_names, program[program.logits].output.scale
        self.identity = f"{digest(program)}-{self._simulator.layout}"

    def advance(self, values: NDArray, times_us: NDArray[np.int64]) -> None:
        """See `Engine.advance`."""
        with told():
            self._simulator.advance(values, times_us)

    def logits(self) -> NDArray:
        """The integer codes (classes,) int64; see `Engine.logits`."""
        return self._simulator.read()

    @property
    def incomplete(self) -> bool:
        """See `Engine.incomplete`."""
        return self._simulator.incomplete

    def snapshot(self) -> dict[str, NDArray]:
        """See `Engine.snapshot`."""
        return self._simulator.snapshot()

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """See `Engine.restore`."""
        with told():
            self._simulator.restore(arrays)


def check_read_out(window: int | None, forget: int | None) -> None:
    """Refuse settings of a read-out that exclude each other or mean nothing.

    Raises:
        PumiceError: naming them.
    """
    if window is not None and forget is not None:
        raise PumiceError("window and forget are two read-outs; give one of them")
    if window is not None and not 1 <= window <= 1 << 16:
        raise PumiceError(f"window={window} is out of range; it lies between 1 and {1 << 16}")
    if forget is not None and not 1 <= forget <= 24:
        raise PumiceError(f"forget={forget} is out of range; it lies between 1 and 24")
