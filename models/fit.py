"""Weights under the names of another implementation as the state of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..errors import PumiceError

MOST_NAMED = 3


def fitted_state(
    model: nn.Module,
    given: Mapping[str, Tensor],
    names: Mapping[str, str],
    transposed: Callable[[str], bool] = lambda name: False,
) -> dict[str, Tensor]:
    """The state dict of ``model`` from weights of other names, each of which has to have its place.

    Args:
        model: whose state is meant.
        given: the weights by their own names.
        names: the weights' name of every entry of the model's state dict.
        transposed: which of them lie the other way round, as (in, out).

    Raises:
        PumiceError: a weight is missing, left over, of another shape, not finite, or holds more digits than float32;
            names the first few, with both sides' shapes.
    """
    left = sorted(given.keys() - set(names.values()))
    wrong = [f"have '{name}' of shape {tuple(given[name].shape)}, for which the model has no place" for name in left]
    state = {}
    for own, target in model.state_dict().items():
        name = names[own]
        turned = transposed(name)
        needed = tuple(target.mT.shape if turned else target.shape)
        if name not in given:
            wrong.append(f"lack '{name}', of shape {needed} in the model")
        elif tuple(given[name].shape) != needed:
            wrong.append(f"have '{name}' of shape {tuple(given[name].shape)}, which is {needed} in the model")
        else:
            value, reason = _cast(given[name], target.dtype)
            if reason:
                wrong.append(f"have '{name}' with {reason}")
            state[own] = value.mT if turned else value
    if wrong:
        more = f" (and {len(wrong) - MOST_NAMED} more)" if len(wrong) > MOST_NAMED else ""
        raise PumiceError(
            f"the weights {'; they '.join(wrong[:MOST_NAMED])}{more}; choose the settings that they were made with"
        )
    return state


def load_fitted(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy a state dict of all entries into ``model``, checks of the model's own included."""
    model.load_state_dict({name: value.contiguous() for name, value in state.items()})


def _cast(value: Tensor, dtype: torch.dtype) -> tuple[Tensor, str]:
    """The values in the model's type, and what is wrong with them, or ""."""
    cast = value.to(dtype)
    if not torch.isfinite(cast).all():
        return cast, "values that are not finite"
    if not torch.equal(cast.to(value.dtype), value):
        return cast, f"more digits than {str(dtype).removeprefix('torch.')} holds; save them in that type"
    return cast, ""
