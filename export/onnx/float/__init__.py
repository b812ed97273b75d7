"""The float models as ONNX, for runtimes that take floats; one file a family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from torch import nn

from ....errors import PumiceError
from ....models.adlif.network import AdLIFNetwork
from ....models.real_s5.classifier import RealS5Classifier
from ....models.s5.classifier import S5Classifier
from ....models.spikings5.network import SpikingS5
from ....models.spikingssm.network import SpikingSSM
from . import adlif, real_s5, s5, spikingssm, steps


class Writer(NamedTuple):
    """How the float models of one family become ONNX.

    build: (model, class names) -> the model of whole samples.
    outputs: (session, model, values, dt, lengths, pool_dt) -> what onnxruntime and torch give, two arrays of one
        shape; tensors as the model's batches hold them, ``dt`` and ``pool_dt`` None for time steps.
    agreement: (one, other, lengths) -> figures, where two implementations may honestly part; None where the outputs
        are logits and simply compared.
    """

    build: Callable[[Any, Sequence[str]], onnx.ModelProto]
    outputs: Callable[..., tuple[np.ndarray, np.ndarray]]
    agreement: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, Any]] | None = None


WRITERS: dict[type[nn.Module], Writer] = {
    S5Classifier: Writer(s5.build_float_sequence, s5.outputs),
    RealS5Classifier: Writer(real_s5.build_float_sequence, s5.outputs),
    SpikingS5: Writer(s5.build_float_sequence, s5.outputs),
    AdLIFNetwork: Writer(adlif.build_float_sequence, adlif.outputs, steps.agreement),
    SpikingSSM: Writer(spikingssm.build_float_sequence, spikingssm.outputs, steps.agreement),
}


def writer_of(model: nn.Module) -> Writer:
    """The writer of a float model's family.

    Raises:
        PumiceError: it has none.
    """
    for kind, writer in WRITERS.items():
        if isinstance(model, kind):
            return writer
    known = ", ".join(kind.__name__ for kind in WRITERS)
    raise PumiceError(f"a {type(model).__name__} has no float form in ONNX; {known} have one")
