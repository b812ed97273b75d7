# /// script
# requires-python = ">=3.11"
# dependencies = ["jax[cpu]", "flax", "orbax-checkpoint", "numpy"]
# ///
"""Write a checkpoint of the JAX code of event-SSM as one flat ``.npz``, which ``pumice import event-ssm`` reads.

    uv run event_ssm_checkpoint.py outputs/checkpoint_30 params.npz

The checkpoint is a folder that orbax wrote. Keys of the arrays are those of the tree, joined by '/'; the state of the
optimizer stays behind. Pumice itself is not needed, and its environment neither.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax.training.checkpoints import restore_checkpoint

KEPT = ("params", "model_state")


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a tree, each with its keys joined by '/'."""
    if isinstance(tree, Mapping):
        for key, branch in tree.items():
            yield from leaves(branch, f"{name}/{key}" if name else str(key))
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for index, branch in enumerate(tree):
            yield from leaves(branch, f"{name}/{index}")
    elif tree is not None:
        yield name, np.asarray(tree)


def main() -> None:
    """Read the checkpoint, write the ``.npz`` whole or not at all, and list what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder checkpoint_<step>")
    parser.add_argument("target", type=Path, help=".npz to write")
    arguments = parser.parse_args()
    if not arguments.checkpoint.is_dir():
        parser.error(f"{arguments.checkpoint} is no folder; name the folder checkpoint_<step> that the training wrote")
    restored = restore_checkpoint(str(arguments.checkpoint.resolve()), target=None)
    arrays = {name: array for key in KEPT for name, array in leaves(restored.get(key, {}), key)}
    if not arrays:
        parser.error(f"{arguments.checkpoint} holds {', '.join(restored)}, but no params")
    handle, partial = tempfile.mkstemp(suffix=".npz", dir=arguments.target.resolve().parent)
    os.close(handle)
    np.savez(partial, **arrays)
    Path(partial).replace(arguments.target)
    for name, array in arrays.items():
        print(f"{name:70s} {array.dtype} {array.shape}")
    print(f"{sum(array.size for array in arrays.values()):,} values in {arguments.target}")


if __name__ == "__main__":
    main()
