"""Adaptive LIF layers: the compiled scan against plain torch, and seconds of a training epoch on ECG.

    python benchmarks/adlif.py [--rounds 5] [--threads 1] [--ecg FOLDER [--epochs 3]]

A step is forward and backward of the whole network, mean cross entropy over all steps, float32. The implementations
take turns within each round, so that other load on the machine meets both alike; times are the best of all rounds.
CPU seconds are those of this process and do not count what others take.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.network import AdLIFNetwork
from pumice.train.data.sequences.datamodule import SequenceDataModule
from pumice.train.data.sequences.kinds import sequence_task
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy

CONFIGS = Path(__file__).parents[1] / "configs" / "model" / "adlif"
# model, layers, batch, steps, inputs, classes
SHAPES = (
    ("ecg", 1, 64, 1301, 4, 6),
    ("ecg", 2, 64, 1301, 4, 6),
    ("shd-small", 1, 256, 250, 140, 20),
    ("bsd", 1, 128, 200, 10, 20),
)


def network(name: str, layers: int, inputs: int, classes: int) -> AdLIFNetwork:
    values = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) | {"layers": layers}
    return build_adlif(values, num_classes=classes, in_features=inputs, seed=0)


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(rounds: int) -> Table:
    table = Table("model", "layers", "B x T x H", "numba", "torch", "ratio", "spikes")
    for name, layers, batch, steps, inputs, classes in SHAPES:
        model = network(name, layers, inputs, classes)
        generator = torch.Generator().manual_seed(0)
        for cell in model.cells:  # a spike rate as after training
            cell.input.weight.data *= 8
        x = torch.randint(-1, 2, (batch, steps, inputs), generator=generator).float()
        labels = torch.randint(classes, (batch * steps,), generator=generator)

        def step(model: AdLIFNetwork = model, x: torch.Tensor = x, labels: torch.Tensor = labels) -> None:
            potentials, _ = model.sequence(x)
            cross_entropy(potentials.flatten(0, 1), labels).backward()

        best = dict.fromkeys(("numba", "torch"), float("inf"))
        for _ in range(rounds + 1):  # the first compiles
            for implementation in best:
                for cell in model.cells:
                    cell.implementation = implementation
                best[implementation] = min(best[implementation], seconds(step)[1])
        rate = model.cells[0].sequence(x)[0].mean().item()
        times = [f"{1000 * best[name]:.0f} ms" for name in best]
        shape = f"{batch} x {steps} x {model.config.hidden}"
        table.add_row(name, str(layers), shape, *times, f"{best['torch'] / best['numba']:.1f}", f"{rate:.1%}")
    table.caption = "CPU time of a training step"
    return table


def ecg_epochs(root: str, epochs: int) -> Table:
    table = Table("layers", "batches", "best epoch, CPU", "best epoch, wall clock", "loss")
    for layers in (1, 2):
        values = {"kind": "ecg", "name": "ecg", "root": root, "validation": {"by": "sample", "fraction": 0.05}}
        data = SequenceDataModule(sequence_task(values), batch_size=64)
        model = network("ecg", layers, 4, 6).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        loader, losses = data.train_dataloader(), []

        def epoch(model=model, optimizer=optimizer, loader=loader, losses=losses) -> None:
            for batch in loader:
                logits, labels = batch.apply(model)
                loss = cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.5)
                optimizer.step()
                model.constrain()
                losses.append(loss.item())

        taken = [seconds(epoch) for _ in range(epochs)]
        best = [f"{min(column):.2f} s" for column in zip(*taken, strict=True)]
        table.add_row(str(layers), str(len(loader)), best[1], best[0], f"{losses[-1]:.3f}")
    table.caption = "training alone, without validation"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ecg", metavar="FOLDER", help="folder of QTDB_train.mat")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    Console().print(compare(arguments.rounds))
    if arguments.ecg:
        Console().print(ecg_epochs(arguments.ecg, arguments.epochs))


if __name__ == "__main__":
    main()
