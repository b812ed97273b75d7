"""Float models in NIR files: those of LIF neurons in NIR's nodes, others with nodes of Pumice's own, on request."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ..archives import save_arrays
from ..errors import ParityError, PumiceError
from ..export.nir import NAMESPACES, needs_own, read_model, vectors_path, write_nir, write_own, write_vectors
from ..export.nir.imported import read_imported
from ..program import Program
from ..train.data.inputs import Inputs
from .batches import as_batches, with_targets
from .samples import told


def export_nir(
    model: nn.Module,
    path: str | Path,
    samples: Iterable[Any],
    *,
    program: Program | None = None,
    dt: float = 1e-4,
    namespace: str | None = None,
) -> dict[str, int]:
    """Write a float network of LIF neurons as a NIR file (``.nir``, HDF5), and read it back.

    Beside it, as ``<name>_io.npz``, lie the samples with the spikes of every layer and the read-out's potentials, as
    the network gives them in float64: what a reader should find.

    Args:
        model: of family adlif with ``cell: lif``; its parameters are what other tools read. With a namespace of any
            family.
        path: the file; its folder is made where it does not exist.
        samples: of the vectors: arrays (T, F), what the model reads at each step. Of a file with nodes of Pumice's own,
            what `quantize` takes: (values, times_us) pairs, or torch batches; beside them lie the logits.
        program: what the model was lowered to; its nodes, widths and integer codes go into the metadata.
        dt: seconds of a step in the file, as its reader takes it.
        namespace: ``"pumice"``: what NIR has no node for (adaptation, complex modes, gates, norms, windows of events,
            other resets) is written as nodes of Pumice's own, ``pumice.DiagonalSSM`` and others, which other readers
            refuse by name, and `import_nir` reads back. If not given, such a model is refused.

    Returns:
        ``layers``, and of the vectors ``spikes`` and ``neuron_steps``; with nodes of Pumice's own ``nodes`` and
        ``samples``.

    Raises:
        PumiceError: the package nir is missing, a model that NIR does not hold exactly, named by its first such layer,
            a sample of another width, or a folder that cannot be written to.
        ParityError: what is read back is not what the model holds.
    """
    check_namespace(namespace)
    if namespace is not None and needs_own(model):
        return _export_own(model, path, samples, program, dt)
    given = [np.asarray(values, dtype=np.float32) for values in samples]
    width = getattr(getattr(model, "config", None), "in_features", None)
    for index, values in enumerate(given):
        if width is not None and (values.ndim != 2 or values.shape[1] != width):
            raise PumiceError(f"sample {index} has shape {values.shape}, the model reads (steps, {width})")
    with told():
        layers = write_nir(model, path, program, dt)
        found = {name: values.numpy() for name, values in read_model(path).state_dict().items()}
        _compare(model, found, path)
        return {"layers": len(layers), **write_vectors(model, path, given)}


def check_namespace(namespace: str | None) -> None:
    """Refuse a namespace that there is not.

    Raises:
        PumiceError: naming those that there are.
    """
    if namespace not in (None, *NAMESPACES):
        raise PumiceError(f"nir.namespace={namespace} is unknown; use {', '.join(NAMESPACES)}, or null for NIR's alone")


def _export_own(
    model: nn.Module, path: str | Path, samples: Iterable[Any], program: Program | None, dt: float
) -> dict[str, int]:
    batches = as_batches(model, samples)
    with told():
        nodes = write_own(model, path, program, dt)
        _compare(model, read_imported(path).state, path)
    exact, held = deepcopy(model).double().eval(), dict[str, np.ndarray]()
    count, config = 0, cast(Any, model.config)
    every = getattr(config, "answers_every", None)
    for number, batch in enumerate(batches):
        inputs = batch if isinstance(batch, Inputs) else batch.padded()
        given = inputs._replace(values=inputs.values.double()) if inputs.values.is_floating_point() else inputs
        with torch.no_grad():
            logits, _ = with_targets(given, every).apply(exact)
        told_ = {"values": inputs.values, "dt": inputs.dt, "lengths": inputs.lengths, "pool_dt": inputs.pool_dt}
        named = {**told_, "logits": logits}
        held |= {f"{name}.{number}": part.cpu().numpy() for name, part in named.items() if part is not None}
        count += len(inputs.lengths)
    save_arrays(vectors_path(path), held, compress=True)
    return {"nodes": nodes, "samples": count}


def _compare(model: nn.Module, found: dict[str, np.ndarray], path: str | Path) -> None:
    for name, values in model.state_dict().items():
        if name not in found or not np.array_equal(found[name], values.detach().cpu().float().numpy()):
            raise ParityError(f"{name} is not read back from {path} as it was written; report this with it")
