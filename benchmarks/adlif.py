"""Adaptive LIF layers: CPU time of a training step, the compiled scan against plain torch, and of an epoch on ECG.

    python benchmarks/adlif.py [--models ecg:1 ecg:2 shd-small:1 bsd:1] [--ecg FOLDER [--epochs 3]]

A step is forward and backward of the whole network, mean cross entropy over all steps, float32; both implementations do
all of it, and share everything but the scan over time (products with W, dropout, read-out, loss). A few per cent of the
neurons spike at a step, as after training. An epoch is training alone, without validation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from programs import settings_of
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.network import AdLIFNetwork
from pumice.train.data.sequences.datamodule import SequenceDataModule
from pumice.train.data.sequences.kinds import sequence_task
from rich.console import Console
from rich.table import Table
from timing import Way, compare, parse, parser, race
from torch.nn.functional import cross_entropy

SHAPES = {"ecg": (64, 1301, 4, 6), "shd-small": (256, 250, 140, 20), "bsd": (128, 200, 10, 20)}
"""Batch, steps, inputs and classes of the published recipes, by model of configs/model/adlif."""


def network(name: str, layers: int, inputs: int, classes: int) -> AdLIFNetwork:
    settings = settings_of(f"adlif/{name}") | {"layers": layers}
    return build_adlif(settings, num_classes=classes, in_features=inputs, seed=0)


def ways(name: str, layers: int, options: argparse.Namespace) -> tuple[list[Way], str]:
    """Both ways to run a training step, and what is run."""
    batch, steps, inputs, classes = SHAPES[name]
    batch, steps = options.batch or batch, options.steps or steps
    model = network(name, layers, inputs, classes)
    for cell in model.cells:  # a spike rate as after training
        cell.input.weight.data *= 8
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 2, (batch, steps, inputs), generator=generator).float()
    labels = torch.randint(classes, (batch * steps,), generator=generator)

    def with_scan(implementation: str) -> Callable[[], None]:
        def step() -> None:
            for cell in model.cells:
                cell.implementation = implementation
            potentials, _ = model.sequence(x)
            cross_entropy(potentials.flatten(0, 1), labels).backward()

        return step

    rate = model.cells[0].sequence(x)[0].mean().item()
    title = f"{name}, {layers} layers, B={batch} T={steps} H={model.config.hidden}, {rate:.1%} spikes, one thread"
    return [
        Way("a training step", "torch", with_scan("torch"), yardstick=True),
        Way("a training step", "pumice, compiled", with_scan("numba")),
    ], title


def ecg_epochs(root: str, epochs: int) -> Table:
    table = Table("layers", "batches", "best epoch, CPU", "loss", title="an epoch on ECG, training alone")
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

        best = min(race({"epoch": epoch}, epochs)["epoch"])
        table.add_row(str(layers), str(len(loader)), f"{best:.2f} s", f"{losses[-1]:.3f}")
    return table


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["ecg:1", "ecg:2", "shd-small:1", "bsd:1"], help="MODEL:LAYERS")
    made.add_argument("--batch", type=int, help="in place of the recipe's")
    made.add_argument("--steps", type=int, help="in place of the recipe's")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--ecg", metavar="FOLDER", help="folder of QTDB_train.mat")
    made.add_argument("--epochs", type=int, default=3)
    small = {"models": ["ecg:1", "shd-small:1"], "batch": 32, "steps": 250, "rounds": 3}
    options = parse(made, small, {"models": ["ecg:1"], "batch": 2, "steps": 10, "rounds": 1})
    torch.set_num_threads(options.threads)
    for name in options.models:
        model, layers = name.split(":")
        both, title = ways(model, int(layers), options)
        compare(title, both, options.rounds, "step")
    if options.ecg:
        Console().print(ecg_epochs(options.ecg, options.epochs))


if __name__ == "__main__":
    main()
