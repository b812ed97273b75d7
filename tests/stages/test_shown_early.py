"""Early decisions and latency on the page and in the CSV."""

import re

import numpy as np
import pumice
import pytest
import torch
from pumice.program import reference

CHOSEN = (0.05, 0.25, 0.5, 0.8, 1.0)


def test_early_decisions_of_beginnings(shown, figures):
    """The float model and the reference, on recordings that were cut."""
    rows = shown.csv_of("early", "heard")
    assert len(rows) == 20
    model, labels = pumice.open_run(shown.folder).model.eval(), shown.labels
    accuracies = {}
    for share in CHOSEN:
        parts = []
        for tokens, times in shown.samples:
            end = int((times - times[0] <= share * (times[-1] - times[0])).sum())
            parts.append((tokens[:end], times[:end]))
        integers = [int(trace.logits.argmax()) for trace in reference.run(shown.program, parts, trace=False)]
        floats = []
        for tokens, times in parts:
            ticks = np.rint(times / 500).astype(np.int64)  # of 0.5 ms
            apart = torch.from_numpy(np.diff(ticks, prepend=ticks[:1]) * 0.5).float().unsqueeze(0)
            with torch.no_grad():
                floats.append(
                    int(model(torch.from_numpy(tokens).unsqueeze(0), apart, torch.tensor([len(times)])).argmax())
                )
        found = [(np.array(side) == labels).mean() for side in (integers, floats)]
        accuracies[share] = found
        row = rows[str(share)]
        assert float(row["integer"]) == pytest.approx(found[0])
        assert float(row["float"]) == pytest.approx(found[1], abs=1 / len(labels) + 1e-9)  # float32, batched otherwise
    text = shown.page.text["Early decision and latency"]
    told = re.search(r"After half of it: integers (.*? %), float model (.*? %); after all: (.*? %), (.*? %)\.", text)
    for cell, value in zip(told.groups(), (*accuracies[0.5], *accuracies[1.0]), strict=True):
        assert abs(figures.number(cell)[0] - 100 * value) <= 100 / len(labels) + 0.051
    assert figures.near(told[1], accuracies[0.5][0], 100)
    assert figures.near(told[3], accuracies[1.0][0], 100)
    assert accuracies[0.05] != accuracies[1.0]
    share = next(float(name) for name, row in rows.items() if float(row["integer"]) >= 0.95 * accuracies[1.0][0])
    assert f"after {share:.0%}.".replace("%", " %") in text
    seconds = np.mean([(times[-1] - times[0]) / 1e6 for _, times in shown.samples])
    assert figures.near(re.search(r"of ([\d.]+) s on average", text)[1], seconds)


def test_latency_and_real_time(shown, figures):
    text, simulated = shown.page.text["Early decision and latency"], shown.simulated
    alone, (_, times) = simulated["latency"], shown.samples[0]
    told = re.search(
        r"alone takes (\S+) us \(median; 99 of 100 at most (\S+) us\).*?: (\d+) events of test sample 0", text
    )
    if alone is None:  # of a recording that is too short
        assert told is None
        assert len(times) <= 50
    else:
        assert figures.near(told[1], alone["median_us"])
        assert figures.near(told[2], alone["p99_us"])
        assert int(told[3]) == len(times) - 50
    _, rows = shown.table_of("Early decision and latency")
    lasts = sum(int(times[-1] - times[0]) for _, times in shown.samples) / 1e6
    for name, entry in simulated["backends"].items():
        events = sum(len(times) for _, times in shown.samples[: entry["samples"]])
        assert rows[name]["events/s"] == f"{round(events / entry['seconds']):,}"
        assert figures.near(rows[name]["times real time"], round(events / entry["seconds"]) * lasts / events)
