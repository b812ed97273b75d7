"""CPU time of one step of fine-tuning a quantized S5 model, beside the same step of the float model.

    python benchmarks/qat_step.py [--model s5/shd-medium] [--batch 16] [--events 2048] [--threads N]

A step is forward, squared error of the logits against given ones, backward and AdamW, in float32, of a calibrated w8a8
model whose exponents are frozen, as `pumice quantize` takes it; the batch is that of `training_step.py`. The profile is
of the quantized step.
"""

from __future__ import annotations

import statistics

import torch
from programs import W8A8, settings_of
from pumice.models.s5.build import build_s5
from pumice.quantize.families import prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing
from rich.console import Console
from timing import parse, parser, profiled, race
from torch import nn
from torch.nn.functional import mse_loss
from training_step import TASKS, make_batch


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--model", default="s5/shd-medium")
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--events", type=int, default=2048)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--rows", type=int, default=30, help="rows of the profile")
    small = {"model": "s5/tiny", "batch": 16, "events": 1024, "rounds": 5, "rows": 12}
    options = parse(made, small, {"model": "s5/tiny", "batch": 2, "events": 64, "rounds": 1, "rows": 3})
    torch.set_num_threads(options.threads)

    vocab, num_classes = TASKS.get(options.model, (700, 20))
    batch = make_batch(options.batch, options.events, vocab, num_classes, exact=False)
    targets = batch.pop("targets")
    model = build_s5(settings_of(options.model), num_classes=num_classes, vocab=vocab, seed=0)
    quantized = prepare(model, W8A8, Timing(tick_ms=0.5))
    calibrate(quantized, [Inputs(batch["tokens"], batch["dt"], batch["lengths"], batch["pool_dt"])])
    quantized.freeze_scales()

    def step_of(module: nn.Module) -> object:
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-6)
        module.eval()  # as fine-tuning without dropout has it

        def step() -> None:
            optimizer.zero_grad()
            mse_loss(module(**batch), targets).backward()
            optimizer.step()

        return step

    steps = {"float": step_of(model), "quantized": step_of(quantized)}
    seconds = {name: statistics.median(times) for name, times in race(steps, options.rounds).items()}
    console = Console(width=120)
    console.print(profiled(f"{options.model}: one quantized step, profiled", steps["quantized"], options.rows))
    console.print(
        f"{options.model}, batch {options.batch} x {options.events} events, {options.threads} threads: float "
        f"{1e3 * seconds['float']:.0f} ms of CPU time, quantized {1e3 * seconds['quantized']:.0f} ms, "
        f"{seconds['quantized'] / seconds['float']:.2f} times"
    )


if __name__ == "__main__":
    main()
