"""What comparing a program's backends on a test set leaves, whole or in parts that are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..api.backends import BACKENDS
from ..api.compare import Parity, compare
from ..errors import ParityError, PumiceError
from ..hw_sim.parity.compare import Difference, Verdict, describe
from ..program import Program
from ..sealed import read_sealed
from ..train.sealed import write_sealed
from .decisions import TestSet


@dataclass(frozen=True)
class Compared:
    """Verdicts and decisions of each backend on the samples that it got.

    Attributes:
        oracle: the backend that the others were compared with.
        verdicts: by backend, the oracle's own counters among them.
        skipped: why a backend was left out, by its name.
        shares: by backend, the numbers of its samples in the test set, ascending.
        logits: by backend, the last integer logits (samples, C).
        scores: by backend, of every decision (M, C): one a sample, or one a labelled block.
        others: the oracle's scores (M, C) by the task's other protocols, by name.
        parts: how many parts of the test set these are put together of.
    """

    oracle: str
    verdicts: Mapping[str, Verdict]
    skipped: Mapping[str, str]
    shares: Mapping[str, Sequence[int]]
    logits: Mapping[str, NDArray[np.int64]]
    scores: Mapping[str, NDArray[np.float64]]
    others: Mapping[str, NDArray[np.float64]]
    parts: int = 1

    @property
    def differing(self) -> int:
        """Values that differ from the oracle's, over all backends: has to be 0."""
        return sum(verdict.differing for verdict in self.verdicts.values())

    def refuse_differences(self, told_by: Path) -> None:
        """Refuse what differs, with the first place; ``told_by`` is the file that says more.

        Raises:
            ParityError: a value differs.
        """
        for name, verdict in self.verdicts.items():
            if verdict.first is not None:
                raise ParityError(
                    f"{self.differing:,} values differ between backends; {name} against {self.oracle}: "
                    f"{describe(verdict.first)}; please report this with {told_by} and program.npz"
                )


def compare_part(
    program: Program,
    tests: TestSet,
    others: Mapping[str, TestSet],
    shares: Mapping[str, Sequence[int]],
    **how: Any,
) -> Compared:
    """Compare backends on a part of the test set.

    Args:
        program: any.
        tests: the whole test set.
        others: the same samples, decided upon by other protocols, by name.
        shares: by backend, the oracle first, numbers of the samples that it gets; the oracle's hold all others'.
        how: further arguments of `api.compare.compare`.

    Raises:
        PumiceError, BackendUnavailable: as `api.compare.compare` does.
    """
    numbers = list(next(iter(shares.values())))
    place = {number: index for index, number in enumerate(numbers)}
    inner = {name: [place[number] for number in share] for name, share in shares.items()}
    parity: Parity = compare(program, [tests.samples[i] for i in numbers], list(shares), shares=inner, **how)
    for verdict in parity.verdicts.values():
        if verdict.first is not None:
            verdict.first = replace(verdict.first, sample=numbers[verdict.first.sample])
    found = parity.traces
    return Compared(
        oracle=parity.oracle,
        verdicts=parity.verdicts,
        skipped=parity.skipped,
        shares={name: list(shares[name]) for name in found},
        logits={name: np.stack([trace.logits for trace in traces]) for name, traces in found.items()},
        scores={name: tests.scores(program, traces, shares[name]) for name, traces in found.items()},
        others={name: other.scores(program, found[parity.oracle], numbers) for name, other in others.items()},
    )


def divided(shares: Mapping[str, Sequence[int]], part: int, parts: int) -> dict[str, list[int]]:
    """The samples of one of ``parts`` consecutive parts of the test set, by backend; who gets none is left out.

    Each part has as many samples of the slow backend, where there is one, else as many of the oracle's.

    Args:
        shares: numbers of samples by backend, ascending, the oracle's first: all.
        part: 1 to ``parts``.
        parts: how many there are.

    Raises:
        PumiceError: there are more parts than samples, or the oracle would be alone in this one.
    """
    everything = next(iter(shares.values()))
    by = next((name for name in shares if BACKENDS[name].slow), next(iter(shares)))
    if parts > len(shares[by]):
        raise PumiceError(
            f"shard={part}/{parts} has more parts than the {len(shares[by])} test samples of backend {by}; give it "
            f"more by simulate.samples.{by}=..., or divide into fewer"
        )
    cuts = [shares[by][len(shares[by]) * index // parts] for index in range(1, parts)]
    low, high = [0, *cuts][part - 1], [*cuts, everything[-1] + 1][part - 1]
    inside = {name: [number for number in numbers if low <= number < high] for name, numbers in shares.items()}
    found = {name: numbers for name, numbers in inside.items() if numbers}
    if len(found) < 2:
        raise PumiceError(
            f"shard={part}/{parts}: no backend but {by} gets any of the samples {low} to {high - 1}; give another one "
            "more by simulate.samples.NAME=..., or divide into fewer"
        )
    return found


def together(parts: Sequence[Compared]) -> Compared:
    """What the parts of a test set say as one; a backend that any of them had to leave out is left out."""
    first = parts[0]
    skipped = {name: reason for part in parts for name, reason in part.skipped.items()}
    names = list(dict.fromkeys(name for part in parts for name in part.verdicts if name not in skipped))

    def joined(of: Callable[[Compared], Mapping[str, np.ndarray]], name: str) -> np.ndarray:
        return np.concatenate([of(part)[name] for part in parts if name in of(part)])

    return Compared(
        oracle=first.oracle,
        verdicts={name: _sum([part.verdicts[name] for part in parts if name in part.verdicts]) for name in names},
        skipped=skipped,
        shares={name: [number for part in parts for number in part.shares.get(name, ())] for name in names},
        logits={name: joined(lambda part: part.logits, name) for name in names},
        scores={name: joined(lambda part: part.scores, name) for name in names},
        others={name: joined(lambda part: part.others, name) for name in first.others},
        parts=len(parts),
    )


def _sum(verdicts: Sequence[Verdict]) -> Verdict:
    """One backend's verdicts on the parts, in order; seconds are those of all machines together."""
    total = replace(verdicts[0], saturations={}, clipped_gaps={})
    for verdict in verdicts:
        for what in ("saturations", "clipped_gaps"):
            for node, count in getattr(verdict, what).items():
                getattr(total, what)[node] = getattr(total, what).get(node, 0) + count
    for verdict in verdicts[1:]:
        for name in ("samples", "traced", "values", "differing", "incomplete", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(verdict, name))
        total.first = total.first or verdict.first
    return total


def save_compared(path: Path, compared: Compared, about: Mapping[str, Any]) -> None:
    """Write a part, with what tells it from others (JSON), to a sealed file.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    tensors = {
        f"{what}.{name}": torch.from_numpy(np.ascontiguousarray(array))
        for what in ("logits", "scores", "others")
        for name, array in getattr(compared, what).items()
    }
    data = {
        "about": dict(about),
        "oracle": compared.oracle,
        "verdicts": [asdict(verdict) for verdict in compared.verdicts.values()],  # in the order of backends
        "skipped": dict(compared.skipped),
        "shares": {name: list(share) for name, share in compared.shares.items()},
    }
    write_sealed(path, tensors, data)


def load_compared(path: Path, about: Mapping[str, Any]) -> Compared:
    """Read a part back.

    Raises:
        PumiceError: it is missing or damaged, or not what ``about`` says.
    """
    try:
        tensors, data = read_sealed(path)
        if data["about"] != dict(about):
            raise PumiceError(f"{path} was made of another program or part; remove it, and compare that part anew")
        arrays: dict[str, dict[str, Any]] = {"logits": {}, "scores": {}, "others": {}}
        for key, tensor in tensors.items():
            what, _, name = key.partition(".")
            arrays[what][name] = tensor.numpy()
        verdicts = {kept["backend"]: _verdict(kept) for kept in data["verdicts"]}
        return Compared(
            data["oracle"],
            verdicts,
            data["skipped"],
            data["shares"],
            arrays["logits"],
            arrays["scores"],
            arrays["others"],
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PumiceError(f"{path} cannot be read ({error}); remove it, and compare that part anew") from error


def _verdict(kept: Mapping[str, Any]) -> Verdict:
    first = kept["first"]
    pairs = {name: (int(kept[name][0]), int(kept[name][1])) for name in ("nodes", "states")}
    return Verdict(**{**kept, **pairs, "first": None if first is None else Difference(**first)})
