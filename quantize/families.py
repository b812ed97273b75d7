"""The model families that can be quantized; stages and files know them by this table alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ..errors import PumiceError
from ..program import Program
from ..train.data.inputs import Timing
from .adlif.family import AdLIFFamily
from .config import ARITHMETICS, QuantizationConfig
from .family import Family, FloatFamily
from .frozen import FrozenModel
from .loihi.family import LoihiFamily
from .qat_model import QATModel
from .real_s5.family import RealS5Family
from .s5.family import S5Family
from .spikings5.family import SpikingS5Family
from .spikingssm.family import SpikingSSMFamily

FAMILIES: dict[str, Family[Any, Any, Any]] = {
    family.name: family
    for family in (
        S5Family(),
        RealS5Family(),
        AdLIFFamily(),
        LoihiFamily(),
        SpikingSSMFamily(),
        SpikingS5Family(),
    )
}


def family_named(name: str) -> Family[Any, Any, Any]:
    """The family of this name.

    Raises:
        PumiceError: there is none.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        raise PumiceError(f"model family '{name}' cannot be quantized; use one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def model_family(name: str | None) -> FloatFamily[Any]:
    """The family of float models that ``model.family`` names.

    Raises:
        PumiceError: there is none.
    """
    own = {family.name: family for family in FAMILIES.values() if family.arithmetic == ARITHMETICS[0]}
    if not isinstance(name, str) or name not in own:
        raise PumiceError(f"model.family={name} is unknown; use one of: {', '.join(own)}")
    return own[name]


def family_of(model: nn.Module, arithmetic: str = ARITHMETICS[0]) -> Family[Any, Any, Any]:
    """The family that a float model belongs to, as ``arithmetic`` quantizes it.

    Raises:
        PumiceError: to none.
    """
    families = [family for family in FAMILIES.values() if family.arithmetic == arithmetic]
    found = [family for family in families if isinstance(model, family.model)]
    if not found:
        kind, known = type(model).__name__, ", ".join(family.model.__name__ for family in families)
        raise PumiceError(f"quantize.arithmetic={arithmetic} does not take models of type {kind}; it takes {known}")
    return found[0]


def prepare(model: nn.Module, config: QuantizationConfig, timing: Timing | None = None) -> QATModel[Any, Any, Any]:
    """The QAT model of a float model of any family, with a copy of its weights, to be calibrated.

    Args:
        model: trained.
        config: arithmetic, widths and calibration.
        timing: of its input; regular steps if not given.

    Raises:
        PumiceError: a model of no family, or settings that do not fit it or its input.
    """
    return family_of(model, config.arithmetic).prepare(model, config, timing or Timing())


def lower(
    qat: QATModel[Any, Any, Any],
    class_names: Sequence[str],
    *,
    frozen: FrozenModel[Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Program:
    """The program of a QAT model of any family.

    Args:
        qat: calibrated.
        class_names: one a logit.
        frozen: what ``qat.freeze`` gave, where that is at hand.
        provenance: plain JSON data to keep in the program.

    Raises:
        PumiceError: what no program can hold, or a dead zone that is too large; names the layer and the way out.
    """
    family = family_of(qat.model, qat.config.arithmetic)
    return family.lower(qat, qat.freeze() if frozen is None else frozen, class_names, provenance)


def why_unavailable(config: Mapping[str, Any]) -> str | None:
    """Why the configured model or task cannot be quantized as configured; None if it can."""
    name, arithmetic = config["model"].get("family"), config["quantize"].get("arithmetic")
    arithmetic = arithmetic if arithmetic in ARITHMETICS else ARITHMETICS[0]  # what it cannot be, its settings tell
    known = {family.name: family for family in FAMILIES.values() if family.arithmetic == arithmetic}
    if name not in known and len(known) != 1:
        return f"model.family={name} cannot be quantized; use one of {', '.join(known)}"
    return known.get(name, next(iter(known.values()))).unavailable(config)
