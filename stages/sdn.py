"""What ``pumice sdn`` does: surrogate dynamic networks generated, trained, reduced, evaluated, imported, with records.

Each function writes its files whole or not at all, and beside them what they were made from (SHA-256), with which
settings and versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..errors import PumiceError
from ..files import write_json
from ..models.sdn import SurrogateDynamicNetwork, load_sdn, read_sdn, shipped_sdn
from ..models.sdn.fusion import fuse
from ..models.sdn.loading import SHIPPED
from ..records import FINISHED, LOG, StageRecord, versions, write_record
from ..terminal import Printer, Table, kept_in, progress
from ..train.sdn.agreement import Agreement, Predict, agreement, baselines, with_sweeps
from ..train.sdn.agreement import evaluate as evaluated
from ..train.sdn.dataset import GenerateSettings, load_data
from ..train.sdn.dataset import generate as generated
from ..train.sdn.fit import BEST, EpochFigures, TrainSettings, fit
from ..train.sdn.published import import_published
from ..train.sdn.reduce import load_trained, save_sdn
from .folder import file_digest, open_run_folder, timed

CONSOLE = Printer()
REDUCED = "sdn.safetensors"


def generate(root: str | Path, settings: GenerateSettings) -> Path:
    """Write training data of a neuron to the folder ``root``, in the published layout, and a record beside it.

    Raises:
        PumiceError: a device that is not there, or a folder that cannot be written to.
    """
    with timed() as seconds, progress("sequences", settings.samples) as step:
        path = generated(root, settings, step.at)
    record = _record("sdn-generate", asdict(settings), {}, {path.name: file_digest(path)}, {}, seconds[0])
    write_json(path.with_suffix(".json"), asdict(record))
    CONSOLE.print(f"written: {path}", highlight=False)
    return path


def train(
    training: str | Path, test: str | Path | None, save: str | Path, settings: TrainSettings, tau: float | None = None
) -> dict[str, Any]:
    """Train a network on a file of `generate`, or go on with it; ``best.safetensors`` in ``save`` is the best epoch's.

    Args:
        training: its sequences, of which some choose the best epoch.
        test: another file, whose agreement is told at the end; None for none.
        save: the folder; the same call goes on with what lies there.
        settings: how it is trained.
        tau: of the neuron; None: as the files' names say.

    Returns:
        figures of the best epoch and of the test file.

    Raises:
        PumiceError: a file that cannot be read, files of two neurons, or a folder of other settings.
    """
    save, files = Path(save), [Path(path) for path in (training, test) if path is not None]
    with open_run_folder(save, {}), kept_in(save / LOG), timed() as seconds:
        data = load_data(files[0], tau)
        if len(files) > 1 and load_data(files[1], tau).tau != data.tau:
            raise PumiceError(f"{files[0]} and {files[1]} are of two tau; name files of one neuron")
        inputs = {path.name: file_digest(path) for path in files}
        trained = {files[0].name: inputs[files[0].name]}
        with progress("steps") as step:
            figures: dict[str, Any] = {"best": fit(data, save, settings, trained, _line(settings), step.at)}
        network, _ = load_trained(save / BEST)
        if len(files) > 1:
            reduced, _ = fuse(network, data.tau)
            figures["test"] = asdict(agreement(reduced, load_data(files[1], tau).drive, data.tau))
            CONSOLE.print(_table({"test": Agreement(**figures["test"])}, data.tau))
    outputs = {BEST: file_digest(save / BEST)}
    write_record(save, _record("sdn-train", asdict(settings), inputs, outputs, figures, seconds[0]))
    CONSOLE.print(f"written: {save / BEST}; pumice sdn reduce save={save} goes on", highlight=False)
    return figures


def reduce(save: str | Path, out: str | Path | None = None, sweeps: int = 0) -> Path:
    """Fold the network trained in the folder ``save`` into its reduced form, check it, and write that.

    Args:
        save: the folder of `train`.
        out: where the reduced network goes; None: ``sdn.safetensors`` in ``save``.
        sweeps: of the reduced network (`SurrogateDynamicNetwork`).

    Raises:
        PumiceError: the trained network cannot be read, or differs from its reduced form.
    """
    source = Path(save) / BEST
    trained, data = load_trained(source)
    network, check = fuse(trained, data["tau"], sweeps)
    target = Path(out) if out is not None else Path(save) / REDUCED
    info = {"trained": file_digest(source), "settings": data["settings"], "inputs": data["inputs"]}
    info |= {"best": data["best"], "check": asdict(check), "versions": versions()}
    save_sdn(target, network, info)
    CONSOLE.print(
        f"written: {target}, {network.parameters_count} numbers, {network.macs} products a step and channel; largest "
        f"difference to the trained network {check.float64:.1e} in float64, {check.float32:.1e} in float32",
        highlight=False,
    )
    return target


def evaluate(
    network: str | Path | float,
    out: str | Path | None = None,
    sequences: int = 200,
    steps: int = 1024,
    seed: int = 0,
    sweeps: int | None = None,
) -> dict[str, dict[str, Agreement]]:
    """Figures of a reduced network, and of the baselines, on all distributions; printed, and written where asked.

    Args:
        network: a file of `reduce` or `import_network`, or the tau of a network that comes with Pumice.
        out: a JSON file; None for none.
        sequences: of each distribution.
        steps: of each sequence.
        seed: of the drives.
        sweeps: in place of the network's own; None keeps them.

    Returns:
        figures by what was evaluated and by distribution.

    Raises:
        PumiceError: the network cannot be read, or ``out`` cannot be written.
    """
    if sequences < 1 or steps < 1:
        raise PumiceError(f"sequences={sequences} and steps={steps} have to be at least 1; raise them")
    found = shipped_sdn(network) if isinstance(network, float) else load_sdn(network)
    found = found if sweeps is None else with_sweeps(found, sweeps)
    predictors: dict[str, Predict] = {"network": found, **baselines(found.tau)}
    figures = {}
    with progress("networks and baselines", len(predictors)) as step:
        for name, predict in predictors.items():
            figures[name] = evaluated(predict, found.tau, sequences, steps, seed)
            step.at(len(figures))
    CONSOLE.print(_table(figures["network"], found.tau))
    CONSOLE.print(_comparison(figures))
    if out is not None:
        told = {name: {item: asdict(entry) for item, entry in rows.items()} for name, rows in figures.items()}
        about = {
            "network": str(network),
            "tau": found.tau,
            "sweeps": found.sweeps,
            "parameters": found.parameters_count,
        }
        about |= {"sequences": sequences, "steps": steps, "seed": seed, "versions": versions()}
        write_json(out, {**about, "figures": told})
        CONSOLE.print(f"written: {out}", highlight=False)
    return figures


def import_network(source: str | Path, tau: float, out: str | Path, sweeps: int = 0) -> SurrogateDynamicNetwork:
    """Write a published network, a checkpoint or a TorchScript archive, as Pumice's own file.

    Args:
        source: of the published file; no code in it runs.
        tau: of the neuron that it was trained on.
        out: where the network goes.
        sweeps: of the network.

    Raises:
        PumiceError: the file holds something else, or ``out`` cannot be written.
    """
    network, what = import_published(source, tau, sweeps)
    info = {"source": what, "sha256": file_digest(Path(source)), "versions": versions()}
    save_sdn(out, network, info)
    CONSOLE.print(f"written: {out}, from a {what}", highlight=False)
    return network


def describe(path: str | Path) -> Mapping[str, Any]:
    """What a reduced network's file tells of itself.

    Raises:
        PumiceError: the file cannot be read.
    """
    network, info = read_sdn(path)
    return {"tau": network.tau, "sweeps": network.sweeps, "parameters": network.parameters_count, **info}


def _record(
    stage: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    figures: Mapping[str, Any],
    seconds: float,
) -> StageRecord:
    told = {**versions(), "threads": str(torch.get_num_threads())}  # sums of other threads round otherwise
    return StageRecord(
        stage=stage,
        status=FINISHED,
        settings=settings,
        inputs=inputs,
        outputs=outputs,
        figures=figures,
        seconds=round(seconds, 2),
        versions=told,
    )


def _line(settings: TrainSettings) -> Any:
    def line(figures: EpochFigures) -> None:
        CONSOLE.print(
            f"  epoch {figures.epoch:>3}/{settings.epochs}  training loss {figures.training_loss:.3g}"
            f"  validation loss {figures.validation_loss:.3g}, mean error {figures.validation_mae:.3g}"
            f"  {figures.seconds:.1f} s",
            highlight=False,
        )

    return line


def _table(figures: Mapping[str, Agreement], tau: float) -> Table:
    table = Table(title=f"Agreement with the exact neuron of tau {tau}, in per cent of steps")
    table.add_column("drive", no_wrap=True)
    for name in ("agreement", "no memory", "recall", "no memory", f"in ({1 - tau:g}, 1)", "mean error"):
        table.add_column(name, justify="right")
    for name, entry in figures.items():
        shares = (entry.agreement, entry.no_memory, entry.recall, entry.no_memory_recall, entry.band_agreement)
        table.add_row(name, *map(_percent, shares), f"{entry.mae:.2g}")
    return table


def _comparison(figures: Mapping[str, Mapping[str, Agreement]]) -> Table:
    table = Table(title="Agreement beside the baselines; k sweeps alone: the neuron begun k steps before")
    table.add_column("drive", no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right")
    for drive in figures["network"]:
        table.add_row(drive, *(_percent(rows[drive].agreement) for rows in figures.values()))
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3f}"


def shipped() -> list[float]:
    """The tau of the networks that come with Pumice."""
    return sorted(SHIPPED)
