"""Training data of surrogate dynamic networks: drives, membranes and spikes in the published files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from ...errors import PumiceError
from ...models.sdn import lif_membrane
from ..torch_archive import read_torch, reason_of, write_torch
from .drives import Draw, mixed, near_threshold, normal

MOST_BYTES = 1 << 30
"""Of a file of training data, 12 bytes a step; the published ones have 614 MB."""
ROWS = 1000
"""Sequences drawn at once, by a generator of their own."""
FIELDS = {"input": torch.float32, "mem": torch.float32, "spike": torch.int32}
KINDS = ("normal", "near", "mixed")
CHECKED_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """What is generated; the defaults are the published ones.

    Attributes:
        name: what the data are for; other names give other data at the same seed.
        samples: sequences.
        steps: of each.
        mean: of normal drives.
        std: of normal drives.
        tau: of the neuron. The published files have 0.2, the published network 0.125.
        kind: ``normal`` (published), ``near`` (around the threshold) or ``mixed``; `drives` has them.
        seed: gives the same bits on every device.
        device: where the neuron runs.

    Raises:
        PumiceError: a value that no file can be of.
    """

    name: str = "training"
    samples: int = 50_000
    steps: int = 1024
    mean: float = 0.0
    std: float = 1.0
    tau: float = 0.2
    kind: str = "normal"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.+-]+", self.name) or self.name.startswith("."):
            raise PumiceError(f"name={self.name} begins the file's name; use letters, digits, _, . and -")
        if not 0 <= self.tau < 1:
            raise PumiceError(f"tau={self.tau} has to lie from 0 to below 1; change it")
        if self.samples < 1 or self.steps < 1 or 12 * self.samples * self.steps > MOST_BYTES - (1 << 20):
            raise PumiceError(
                f"samples={self.samples} of steps={self.steps} make {12 * self.samples * self.steps:,} bytes, a file "
                f"holds 1 step to {MOST_BYTES:,} bytes; change them"
            )
        if self.kind not in KINDS:
            raise PumiceError(f"kind={self.kind} is unknown; use one of: {', '.join(KINDS)}")
        if not (isfinite(self.mean) and isfinite(self.std) and self.std >= 0):
            raise PumiceError(f"mean={self.mean} and std={self.std} have to be finite, std 0 or more; change them")

    @property
    def file_name(self) -> str:
        """As published; kinds that are not normal stand in the place of N(mean,std)."""
        kind = f"N({self.mean},{self.std})" if self.kind == "normal" else self.kind
        return f"{self.name}-mem-T{self.steps}-{kind}-{self.samples}-tau_{self.tau}.pt"

    @property
    def draw(self) -> Draw:
        """The drives."""
        if self.kind == "normal":
            return normal(self.mean, self.std)
        return near_threshold(self.tau) if self.kind == "near" else mixed(self.tau)


@dataclass(frozen=True)
class SDNData:
    """Sequences of a neuron.

    Attributes:
        drive: over the threshold (N, T), float32.
        membrane: before each step's drive (N, T), float32.
        tau: of the neuron.
    """

    drive: Tensor
    membrane: Tensor
    tau: float


def generate(root: str | Path, settings: GenerateSettings, advance: Callable[[int], None] = lambda rows: None) -> Path:
    """Write the file that ``settings`` name to the folder ``root``, and give its path.

    The file holds ``input`` and ``mem`` as float32 and ``spike`` as int32, each (samples, steps), in torch's format.

    Args:
        root: made where it is missing.
        settings: what is drawn.
        advance: called with the number of sequences that are done.

    Raises:
        PumiceError: a device that is not there, or a folder that cannot be written to.
    """
    shape = settings.samples, settings.steps
    data = {name: torch.empty(shape, dtype=dtype) for name, dtype in FIELDS.items()}
    for start in range(0, settings.samples, ROWS):
        stop = min(start + ROWS, settings.samples)
        x = settings.draw(_generator(settings, start // ROWS), stop - start, settings.steps)
        membrane, spikes = lif_membrane(_moved(x, settings.device), settings.tau)
        data["input"][start:stop] = x
        data["mem"][start:stop] = membrane.cpu()
        data["spike"][start:stop] = spikes.cpu()
        advance(stop)
    path = Path(root) / settings.file_name
    write_torch(path, data)
    return path


def load_data(path: str | Path, tau: float | None = None) -> SDNData:
    """The sequences of a file of `generate`, or of the published generator.

    Args:
        path: of the file; reading takes twice its size in memory.
        tau: of the neuron; None: as the file's name says, ``...-tau_0.2.pt``.

    Raises:
        PumiceError: the file is missing, damaged or too large, holds other entries, or is not of this tau.
    """
    path = Path(path)
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; generate it first (pumice sdn generate)")
    try:
        found = read_torch(path, most_bytes=MOST_BYTES)
        drive, membrane, _ = (_entry(found, name) for name in FIELDS)
    except Exception as error:  # a damaged zip file or pickle raises a dozen kinds of exception
        raise PumiceError(
            f"{path} cannot be read as training data of a surrogate network ({reason_of(error)}); generate it anew"
        ) from error
    if tau is None:
        named = re.search(r"tau_(0?\.\d+|0)\.pt$", path.name)
        if named is None:
            raise PumiceError(f"the name of {path} does not end in tau_<number>.pt; give tau=...")
        tau = float(named[1])
    rows = drive[:CHECKED_ROWS]
    expected, _ = lif_membrane(rows, tau)
    wrong = (membrane[:CHECKED_ROWS] - expected).abs() > 1e-5
    if float(wrong.float().mean()) > 1e-3:  # a rounding may flip a spike on another device
        raise PumiceError(f"the membranes in {path} are not those of a neuron of tau={tau}; give the right tau=...")
    return SDNData(drive, membrane, tau)


def _entry(found: object, name: str) -> Tensor:
    if not isinstance(found, dict) or set(found) != set(FIELDS):
        raise ValueError(f"it does not hold {', '.join(FIELDS)}")
    value, shape = found[name], getattr(found["input"], "shape", None)
    if not isinstance(value, Tensor) or value.dtype != FIELDS[name] or value.ndim != 2 or value.shape != shape:
        raise ValueError(f"{name} is no array (sequences, steps) of {FIELDS[name]}")
    if value.numel() == 0:
        raise ValueError("it holds no steps")
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise ValueError(f"{name} holds numbers that are not finite")
    return value


def _generator(settings: GenerateSettings, block: int) -> torch.Generator:
    """The generator of a block of rows: data of other names must not be the same."""
    digest = hashlib.sha256(f"{settings.seed}/{settings.name}/{block}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def _moved(x: Tensor, device: str) -> Tensor:
    try:
        return x.to(device)
    except (RuntimeError, AssertionError) as error:
        raise PumiceError(f"device={device} cannot be used here ({reason_of(error)}); use device=cpu") from error
