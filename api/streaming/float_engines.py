"""Float models on a stream: what their ``step`` computes, in blocks where the family has them."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ...errors import PumiceError
from ...models.adlif.network import AdLIFNetwork
from ...models.s5.blocks import advance_block
from ...models.s5.classifier import EventClassifier
from ...models.scan.neuron_step import NeuronState
from ...program.clock import ticks
from ...train.data.inputs import Timing
from ...train.data.times import tick_microseconds
from .engines import Engine

NOT_OURS = "the state is none of this model; start the stream anew"


class FloatEngine(Engine):
    """What the float engines share: a read-out over running outputs, and states that are kept.

    Args:
        model: put into evaluation mode.
        class_names: one a logit.
        timing: of its input.
        window, forget: see `engines.IntegerEngine`; None: as the model does.
    """

    def __init__(
        self,
        model: nn.Module,
        class_names: Sequence[str],
        timing: Timing,
        window: int | None = None,
        forget: int | None = None,
    ) -> None:
        self._model, self._timing, self.class_names = model.eval(), timing, tuple(class_names)
        self._dtype = next(model.parameters()).dtype
        self._numpy = torch.zeros(0, dtype=self._dtype).numpy().dtype
        self._window, self._forget = window, forget
        self._recent: deque[Tensor] = deque(maxlen=window or 1)
        self._held: Tensor | None = None
        self._state = self._begin()
        with torch.no_grad():  # compiled kernels are loaded before anybody looks at the clock
            self._advance(self._blank(), np.array([0, 1000]))
        self._state = self._begin()
        self.identity = f"{_digest(model)}-{timing}-{window}-{forget}"

    @abstractmethod
    def _begin(self) -> Any:
        """The state before the stream."""

    def _blank(self) -> NDArray:
        """Two events or rows that say nothing."""
        config: Any = self._model.config
        if getattr(config, "vocab", None) is not None:
            return np.zeros(2, dtype=np.int64)
        return np.zeros((2, config.in_features))

    @property
    @abstractmethod
    def _width(self) -> int:
        """Entries of an output that a read-out takes."""

    def _possible(self, state: Any) -> bool:
        """Whether a state of the right shapes can be one of the model."""
        return True

    @abstractmethod
    def _advance(self, values: NDArray, times_us: NDArray[np.int64]) -> Tensor:
        """Take a block; returns the outputs (m, H) that a read-out takes."""

    @abstractmethod
    def _own_logits(self) -> Tensor:
        """The logits (classes,) by the model's own read-out."""

    @abstractmethod
    def _decode(self, value: Tensor) -> Tensor:
        """Logits (classes,) of what a read-out gave, (H,)."""

    def advance(self, values: NDArray, times_us: NDArray[np.int64]) -> None:
        """See `Engine.advance`."""
        with torch.no_grad():
            outputs = self._advance(values, times_us)
        if self._window is not None:
            self._recent.extend(outputs)
        elif self._forget is not None:
            for output in outputs:
                self._held = output if self._held is None else self._held + (output - self._held) / 2**self._forget

    def logits(self) -> NDArray:
        """See `Engine.logits`."""
        with torch.no_grad():
            if self._window is not None and self._recent:
                found = self._decode(torch.stack(list(self._recent)).mean(0))
            elif self._forget is not None and self._held is not None:
                found = self._decode(self._held)
            else:
                found = self._own_logits()
        return found.double().numpy()

    def snapshot(self) -> dict[str, NDArray]:
        """See `Engine.snapshot`."""
        leaves, _ = tree_flatten(self._state)
        found = {f"state.{k:04}": _as_array(leaf) for k, leaf in enumerate(_kept(leaves))}
        found |= {f"recent.{k:05}": value.numpy() for k, value in enumerate(self._recent)}
        return found if self._held is None else {**found, "held": self._held.numpy()}

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """See `Engine.restore`."""
        leaves, tree = tree_flatten(self._state)
        known = _kept(leaves)
        given = [arrays.get(f"state.{k:04}") for k in range(len(known))]
        kept = [name for name in sorted(arrays) if name.startswith("recent.")]
        own = [_as_array(leaf) for leaf in known]
        fit = len(kept) <= (self._window or 0) and len(arrays) == len(own) + len(kept) + ("held" in arrays)
        for array, like in zip(given, own, strict=True):
            fit = fit and array is not None and (array.shape, array.dtype) == (like.shape, like.dtype)
        read = np.zeros(self._width, self._numpy)
        for name in (*kept, *(["held"] if "held" in arrays else [])):
            fit = fit and (arrays[name].shape, arrays[name].dtype) == (read.shape, read.dtype)
        if not fit or not all(np.isfinite(array).all() for array in arrays.values()):
            raise PumiceError(NOT_OURS)
        back = iter([_as_leaf(array, leaf) for leaf, array in zip(known, given, strict=True) if array is not None])
        state = tree_unflatten([None if leaf is None else next(back) for leaf in leaves], tree)
        if not self._possible(state):
            raise PumiceError(NOT_OURS)
        self._state = state
        self._recent = deque((torch.from_numpy(arrays[name]) for name in kept), maxlen=self._window or 1)
        self._held = torch.from_numpy(arrays["held"]) if "held" in arrays else None


class EventEngine(FloatEngine):
    """Models that read events: S5 and spiking S5 in blocks, others one event at a time."""

    def _begin(self) -> Any:
        nobody = torch.zeros(1, dtype=torch.int64)
        # first and last time, whether any event came, the token that waits for the gap behind it
        model: Any = self._model
        return [model.init_state(1), nobody, nobody.clone(), nobody.clone(), self._no_value()]

    @property
    def _width(self) -> int:
        model: Any = self._model
        return model.decoder.in_features

    def _possible(self, state: Any) -> bool:
        """No window holds as many events as it takes to close it."""
        model: Any = self._model
        strides = [layer.pool.stride for layer in model.layers]
        return all(0 <= int(layer.count) < stride for layer, stride in zip(state[0].layers, strides, strict=True))

    def _no_value(self) -> Tensor:
        config: Any = self._model.config
        return torch.zeros(1, dtype=torch.int64) if config.vocab else torch.zeros(1, config.in_features)

    def _advance(self, values: NDArray, times_us: NDArray[np.int64]) -> Tensor:
        state, first, last, begun, waiting = self._state
        given = torch.from_numpy(np.ascontiguousarray(values))
        given = given if given.dtype == torch.int64 else given.to(self._dtype)
        start = int(first) if int(begun) else int(times_us[0])
        since = np.concatenate([[int(last) if int(begun) else start], times_us]) - start
        exact = np.diff(since) / 1000
        rounded, tick_ms = exact, self._timing.tick_ms
        if tick_ms is not None:
            rounded = np.diff(ticks(since, tick_microseconds(tick_ms))) * tick_ms
        following = torch.tensor([int(times_us[-1])])
        if self._timing.pairing == "next":  # an event is taken with the gap behind it, when the next one has come
            held = given[-1:]
            given = torch.cat([waiting.to(given.dtype), given[:-1]])
            if not int(begun):
                given, rounded, exact = given[1:], rounded[1:], exact[1:]
            waiting = held
        dt, pool_dt = (torch.from_numpy(gap).to(self._dtype) for gap in (rounded, exact))
        outputs, state = self._feed(given, dt, pool_dt, state)
        self._state = [state, torch.tensor([start]), following, torch.ones_like(begun), waiting]
        return outputs

    def _feed(self, tokens: Tensor, dt: Tensor, pool_dt: Tensor, state: Any) -> tuple[Tensor, Any]:
        model: Any = self._model
        if isinstance(model, EventClassifier):
            rows, state = advance_block(model, tokens, dt, state, pool_dt)
            return rows.value, state
        outputs = []
        for k in range(len(tokens)):
            value, valid, state = model.step(tokens[k : k + 1], dt[k : k + 1], state, pool_dt[k : k + 1])
            outputs += [value[0]] if bool(valid) else []
        return torch.stack(outputs) if outputs else torch.zeros(0, model.decoder.in_features), state

    def _own_logits(self) -> Tensor:
        model: Any = self._model
        return model.readout(self._state[0])[0]

    def _decode(self, value: Tensor) -> Tensor:
        model: Any = self._model
        return model.decoder(value)

    @property
    def incomplete(self) -> bool:
        """See `Engine.incomplete`."""
        state = self._state[0]
        return not (int(state.count) if isinstance(self._model, EventClassifier) else float(state.read_out.weight))


class StepEngine(FloatEngine):
    """Networks of time steps; the output of the last step is read, or the mean of all where a model averages."""

    def _begin(self) -> Any:
        classes = len(self.class_names)
        zeros, none = torch.zeros(1, classes, dtype=self._dtype), torch.zeros(1, dtype=torch.int64)
        model: Any = self._model
        return [model.initial_state(1), zeros, zeros.clone(), none]

    @property
    def _width(self) -> int:
        return len(self.class_names)

    def _possible(self, state: Any) -> bool:
        """No neuron is held for longer than its refractory time."""
        model: Any = self._model
        most = model.config.refractory if isinstance(model, AdLIFNetwork) else 0
        counters = [part.left for part in state[0] if most and isinstance(part, NeuronState)]
        return all(bool(((c >= 0) & (c <= most) & (c == c.floor())).all()) for c in counters)

    def _advance(self, values: NDArray, times_us: NDArray[np.int64]) -> Tensor:
        model: Any = self._model
        states, total, _, count = self._state
        rows = torch.from_numpy(np.ascontiguousarray(values))
        rows = rows if rows.dtype == torch.int64 else rows.to(self._dtype)
        if isinstance(model, AdLIFNetwork):
            outputs, states = model.sequence(rows.unsqueeze(0), states)
            outputs = outputs[0]
        else:
            found = []
            for row in rows:
                output, states = model.step(row.unsqueeze(0), states)
                found.append(output[0])
            outputs = torch.stack(found)
        self._state = [states, total + outputs.sum(0), outputs[-1:], count + len(outputs)]
        return outputs

    def _own_logits(self) -> Tensor:
        _, total, newest, count = self._state
        return (newest if isinstance(self._model, AdLIFNetwork) else total / count.clamp(min=1))[0]

    def _decode(self, value: Tensor) -> Tensor:
        return value

    @property
    def incomplete(self) -> bool:
        """See `Engine.incomplete`."""
        return not int(self._state[3])


def _digest(model: nn.Module) -> str:
    sha = hashlib.sha256(type(model).__name__.encode())
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def _kept(leaves: list[Any]) -> list[Any]:
    """Those that hold anything."""
    return [leaf for leaf in leaves if leaf is not None]


def _as_array(leaf: Any) -> NDArray:
    if not isinstance(leaf, Tensor):
        return np.asarray(leaf)
    return (torch.view_as_real(leaf) if leaf.is_complex() else leaf).detach().numpy()


def _as_leaf(array: NDArray, like: Any) -> Any:
    if not isinstance(like, Tensor):
        return array.item()
    found = torch.from_numpy(array.copy())
    return torch.view_as_complex(found) if like.is_complex() else found
