"""CPU time of one training step of a published S5 model, with a profile.

    python benchmarks/training_step.py [--model s5/shd-medium] [--batch 32] [--events 8192] [--exact] [--threads N]

The batch is synthetic: tokens uniform over the channels, about 10,000 events a second, times in ticks of 0.5 ms or
exact to 1 us, every sequence full. A step is forward, soft-label cross entropy, backward and AdamW, in float32. There
is no rival here: the figures of the reference's code have to be taken with the same batch, model and machine.
"""

from __future__ import annotations

import statistics

import torch
from programs import settings_of
from pumice.models.s5.build import build_s5
from rich.console import Console
from timing import parse, parser, profiled, race
from torch.nn.functional import cross_entropy, one_hot

TASKS = {"s5/dvs-small": (32_768, 11), "s5/ssc-medium": (700, 35), "s5/ssc-small": (700, 35)}


def make_batch(batch: int, events: int, vocab: int, num_classes: int, exact: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    gaps = torch.empty(batch, events, dtype=torch.float64).exponential_(10.0, generator=generator)
    times = torch.round(gaps.cumsum(1) * 1e3)
    times -= times[:, :1].clone()
    ticks = times if exact else torch.floor(times / 500 + 0.5) * 500
    labels = torch.randint(num_classes, (batch,), generator=generator)
    return {
        "tokens": torch.randint(vocab, (batch, events), generator=generator),
        "dt": (ticks.diff(dim=1, prepend=ticks[:, :1]) / 1e3).float(),
        "lengths": torch.full((batch,), events),
        "pool_dt": (times.diff(dim=1, prepend=times[:, :1]) / 1e3).float(),
        "targets": one_hot(labels, num_classes).float(),
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--model", default="s5/shd-medium")
    made.add_argument("--batch", type=int, default=32)
    made.add_argument("--events", type=int, default=8192)
    made.add_argument("--exact", action="store_true", help="times to 1 us instead of ticks")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--rows", type=int, default=14, help="rows of the profile")
    small = {"model": "s5/shd-medium", "batch": 8, "events": 1024, "rounds": 3, "rows": 8}
    options = parse(made, small, {"model": "s5/tiny", "batch": 2, "events": 64, "rounds": 1, "rows": 3})
    torch.set_num_threads(options.threads)

    vocab, num_classes = TASKS.get(options.model, (700, 20))
    model = build_s5(settings_of(options.model), num_classes=num_classes, vocab=vocab, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch = make_batch(options.batch, options.events, vocab, num_classes, options.exact)
    targets = batch.pop("targets")

    def forward() -> torch.Tensor:
        with torch.profiler.record_function("step: forward"):
            return cross_entropy(model(**batch), targets)

    def step() -> None:
        optimizer.zero_grad()
        loss = forward()
        with torch.profiler.record_function("step: backward"):
            loss.backward()
        with torch.profiler.record_function("step: optimizer"):
            optimizer.step()

    seconds = race({"step": step}, options.rounds)["step"]
    console = Console(width=120)
    console.print(profiled(f"{options.model}: one training step, profiled", step, options.rows))
    console.print(
        f"{options.model}, batch {options.batch} x {options.events} events, float32, {options.threads} threads: "
        f"median {statistics.median(seconds):.3f} s of CPU time a step (least {min(seconds):.3f} s)"
    )


if __name__ == "__main__":
    main()
