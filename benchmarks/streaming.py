"""CPU time an event of a stream that says a decision every 256 events, with state carried over; one thread.

    python benchmarks/streaming.py [--models s5/tiny s5/shd-medium] [--events 40000]

Models have random weights, calibrated and lowered at w8a8; tokens are uniform, about 10,000 events a second. What is
timed is `pumice.stream` from columns of times and channels to decisions: checks of order and range, tokens, the model,
logits. "Lines" also reads the events from text, as `pumice stream` does. The demonstration of the reference code
publishes 73,000 to 99,000 events a second, from the zero state every 256 events, on hardware that it does not name.
"""

from __future__ import annotations

from collections.abc import Callable

import pumice
import torch
from programs import VOCAB, make_s5, make_stream
from pumice.api.streaming.lines import LineReader
from pumice.train.data.files.columns import by_order
from timing import Way, compare, parse, parser

CHUNK = 1 << 16
COLUMNS, LINES = "columns", "lines of text"


def ways_of(name: str, events: int) -> list[Way]:
    model, program = make_s5(name)
    tokens, times = make_stream(events)
    text = "".join(f"{t},{x}\n" for t, x in zip(times, tokens, strict=True)).encode()
    few = max(events // 4, 1024)
    task = {"name": "arrays", "source": "event-folder", "num_classes": 20, "sensor": [VOCAB]}

    def from_columns(what: object, count: int, every: int, **settings: object) -> Callable[[], None]:
        def run() -> None:
            starts = range(0, count, CHUNK)
            blocks = [tuple(part[at : min(at + CHUNK, count)] for part in (times, tokens)) for at in starts]
            for _ in pumice.stream(what, blocks, every=every, **settings):
                pass

        return run

    def from_lines() -> None:
        reader, running = LineReader("benchmark", (2,), print), pumice.stream(program)
        for at in range(0, len(text), CHUNK):
            for _ in running.take(by_order(reader.take(text[at : at + CHUNK]), ("t", "x"))):
                pass

    return [
        Way(COLUMNS, "integer, every 256", from_columns(program, events, 256), events),
        Way(COLUMNS, "integer, every 16", from_columns(program, events, 16), events),
        Way(COLUMNS, "float32, every 256", from_columns(model, few, 256, task=task), few),
        Way(COLUMNS, "float32, every 1024", from_columns(model, few, 1024, task=task), few),
        Way(LINES, "integer, every 256", from_lines, events),
    ]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium"])
    made.add_argument("--events", type=int, default=40_000)
    made.add_argument("--rounds", type=int, default=5)
    small: dict[str, object] = {"events": 10_000, "rounds": 3}
    smallest: dict[str, object] = {"events": 1_500, "rounds": 1, "models": ["s5/tiny"]}
    arguments = parse(made, small, smallest)
    torch.set_num_threads(1)
    for name in arguments.models:
        caption = "medians of CPU time; the reference's demonstration: 73,000 to 99,000 events/s, state restarted"
        compare(f"{name}, a stream", ways_of(name, arguments.events), arguments.rounds, caption=caption)


if __name__ == "__main__":
    main()
