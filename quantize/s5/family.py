"""S5 in the table of model families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from ...errors import PumiceError
from ...models.s5.classifier import S5Classifier
from ...program import Program
from ...train.data.events.datamodule import EventDataModule
from ..config import QuantizationConfig
from ..family import Family
from .frozen import FrozenS5Classifier
from .lower import growing_modes, lower, lowering_report
from .model import QuantS5Classifier, convert
from .values import float_values

DEFAULT_TICK_MS = 0.5


class S5Family(Family[S5Classifier, QuantS5Classifier, FrozenS5Classifier]):
    """Event-driven S5 classifiers."""

    name = "s5"
    model = S5Classifier
    frozen = FrozenS5Classifier

    def convert(self, model: S5Classifier, config: QuantizationConfig, data: EventDataModule) -> QuantS5Classifier:
        """See `Family.convert`."""
        return convert(model, config, tick_ms_of(config, data.tick_ms))

    def lower(
        self,
        twin: QuantS5Classifier,
        frozen: FrozenS5Classifier,
        data: EventDataModule,
        provenance: Mapping[str, Any],
    ) -> Program:
        """See `Family.lower`."""
        return lower(
            frozen,
            pairing=data.task.pairing,
            class_names=data.class_names,
            max_dead_zone=twin.config.max_dead_zone,
            held=growing_modes(twin),
            provenance=provenance,
        )

    def report(self, twin: QuantS5Classifier, program: Program) -> list[dict[str, Any]]:
        """See `Family.report`."""
        return lowering_report(twin, program)

    def table(self, report: list[dict[str, Any]], twin: QuantS5Classifier) -> Table:
        """See `Family.table`."""
        title = f"lowering at a tick of {twin.tick_ms:g} ms"
        table = Table("layer", "dead zone", "gap digits", "64-bit", "clipped", "growing", title=title)
        for entry in report:
            wide = [what for what, size in entry["registers"].items() if size == "i64"]
            table.add_row(
                entry["layer"].replace("stages.", "").replace("layers.", ""),
                f"{entry['dead_zone']['share']:.2%}",
                str(entry["gap_digits"]),
                ", ".join(wide) or "none",
                str(sum(entry["clipped_weights"].values())),
                str(entry["growing_modes"]),
            )
        return table

    def float_values(
        self, model: S5Classifier, program: Program, values: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor
    ) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        return float_values(model, program, values, dt, lengths, pool_dt)


def tick_ms_of(config: QuantizationConfig, data_tick_ms: float | None) -> float:
    """The program's tick: that of the task, or the configured one where the task has exact times.

    Raises:
        PumiceError: both are given and differ, which would round times twice.
    """
    if data_tick_ms is None:
        return config.tick_ms or DEFAULT_TICK_MS
    if config.tick_ms not in (None, data_tick_ms):
        raise PumiceError(
            f"quantize.tick_ms={config.tick_ms} differs from task.tick_ms={data_tick_ms}, which would round times "
            "twice; set quantize.tick_ms=null, or task.tick_ms=null and train again"
        )
    if round(data_tick_ms * 1000) != data_tick_ms * 1000:
        raise PumiceError(f"task.tick_ms={data_tick_ms} is no whole number of microseconds; round it and train again")
    return data_tick_ms
