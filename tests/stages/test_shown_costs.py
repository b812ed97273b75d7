"""Operations, energy, memory, noise and time constants: on the page and in the CSV files."""

import csv
import math
import re
from collections import defaultdict

import numpy as np
import pumice
import pytest
import torch
from pumice.api.chips import chip_names
from pumice.export.c import Generated
from pumice.program.nodes import DiagonalSSM


def test_products_follow_from_the_traces(shown, figures):
    found, dense, events = shown.products()
    assert events == shown.counts["integer"]["events"]
    header, rows = shown.table_of("Operations an event")
    assert header[:3] == ["part", "products", "else"]
    for part in found:
        assert figures.near(rows[part]["products"], found[part])
    assert figures.near(rows["integer"]["products"], sum(found.values()))
    assert figures.near(shown.page.facts["products an event"], sum(found.values()))
    total, _ = figures.number(rows["integer"][""].removeprefix("of ").removesuffix(" dense"))
    assert total == pytest.approx(sum(dense.values()), rel=0.01)
    text = shown.page.text["Operations an event"]
    assert f"Means over {events:,} events of 3 test samples" in text


def test_operations_of_the_page_and_the_csv(shown, figures):
    parts, (_, rows) = shown.per_part(), shown.table_of("Operations an event")
    in_csv = shown.csv_of("layers", "layer")
    assert set(rows) == {*parts, "integer", "float32"}
    for name, part in parts.items():
        assert figures.near(rows[name]["products"], part.get("mac", 0) + part.get("ac", 0))
        assert figures.near(rows[name]["else"], part.get("other", 0))
        for key in ("dense", "mac", "ac", "other", "decays"):
            assert float(in_csv[name][f"operations_{key}"]) == pytest.approx(part.get(key, 0))
    assert figures.near(rows["integer"]["else"], sum(part.get("other", 0) for part in parts.values()))
    totals, events = shown.counts["float32"]["totals"], shown.counts["float32"]["events"]
    kinds = ("adds", "multiplies", "divides", "roots", "functions", "comparisons", "resets")
    assert figures.near(rows["float32"]["products"], totals["dense_macs"] / events)
    assert figures.near(rows["float32"]["else"], sum(totals[kind] for kind in kinds) / events)
    assert figures.near(rows["float32"][""].split()[1], totals["functions"] / events)


def test_energy_of_the_page_and_the_csv(shown, figures):
    heading = "Energy an event, horowitz-45nm (estimate)"
    rows, in_csv, totals = shown.table_of(heading)[1], shown.csv_of("layers", "layer"), {}
    for what in ("integer", "float32"):
        parts = shown.energy_of(what)
        low, high = (sum(part[f"{kind}_{end}"] for part in parts.values() for kind in ("compute", "memory"))
                     for end in ("low", "high"))  # fmt: skip
        assert low < high
        assert figures.spans(rows[what]["pJ"], low, high)
        totals[what] = high
        if what == "integer":
            for name, part in parts.items():
                ends = (part[f"compute_{end}"] + part[f"memory_{end}"] for end in ("low", "high"))
                assert figures.spans(rows[name]["pJ"], *ends)
                for key, value in part.items():
                    assert float(in_csv[name][f"energy_{key}"]) == pytest.approx(value)
    assert figures.near(shown.page.facts["an event at most, estimated"], totals["integer"] / 1000)
    constants = {row[0]: row[1:] for row in shown.page.tables[heading][1][1:]}
    known = shown.counts["profile"]["constants"].values()
    assert {constant["name"] for constant in known} <= set(constants)
    for constant in known:
        cells = constants[constant["name"]]
        assert figures.spans(cells[0], constant["energy"]["low"], constant["energy"]["high"])
        assert cells[1:] == [f"{constant['process']}, {constant['voltage']}", constant["kind"], constant["source"]]


def test_memory_of_the_page_and_the_csv(shown, figures):
    rows, in_csv = shown.table_of("Memory")[1], shown.csv_of("layers", "layer")
    parts = defaultdict(lambda: [0.0, 0.0])
    for node in shown.program:
        parts[figures.part_of(node.name)][0] += node.parameter_bits / 8
        parts[figures.part_of(node.name)][1] += node.state_bits / 8
    parts = {name: sizes for name, sizes in parts.items() if any(sizes)}
    assert set(rows) == {*parts, "integer", "float32"}
    for name, (weights, state) in parts.items():
        assert figures.near(rows[name]["parameters, bytes"], weights)
        assert figures.near(rows[name]["state, bytes"], state)
        assert float(in_csv[name]["memory_weights"]) == weights
        assert float(in_csv[name]["memory_state"]) == state
    whole = [sum(sizes[kind] for sizes in parts.values()) for kind in (0, 1)]
    assert figures.near(rows["integer"]["parameters, bytes"], whole[0])
    assert figures.near(rows["integer"]["state, bytes"], whole[1])
    assert figures.near(shown.page.facts["parameters"], whole[0] / 1024)
    floats = shown.counts["float32"]["totals"]
    assert figures.near(rows["float32"]["parameters, bytes"], floats["parameter_bits"] / 8)
    assert figures.near(rows["float32"]["state, bytes"], floats["state_bits"] / 8)
    assert whole[0] < floats["parameter_bits"] / 8


def test_memory_of_the_c_program(shown):
    generated = Generated(shown.program)
    text = shown.page.text["Memory"]
    assert f"{generated.constant_bytes:,} bytes of constants in flash, {generated.state_bytes:,} bytes of RAM" in text
    written = (shown.folder / "c" / "README.md").read_text()
    assert f"| flash, constants | {generated.constant_bytes:,} |" in written
    printed = " ".join(shown.before.printed["export-c"].split())
    assert (
        f"{generated.constant_bytes:,} bytes of constants in flash, {generated.state_bytes:,} bytes of RAM" in printed
    )


def test_chips_of_the_page_the_csv_and_the_table(shown):
    _, rows = shown.table_of("Chips")
    in_csv = shown.csv_of("chips", "chip")
    assert set(rows) == set(in_csv) == set(chip_names())
    printed = shown.lines_of(shown.before.printed["count"])
    for name in chip_names():
        fit = pumice.check(shown.program, name)
        assert rows[name]["verdict"] == ("fits" if fit.fits else "does not fit")
        assert in_csv[name]["fits"] == str(fit.fits)
        missing = {breach.limit for breach in fit.breaches if breach.rule == "nodes"}
        for told in (rows[name]["against it"], in_csv[name]["against"]):
            assert missing == {part for part in told.split("; ") if part.startswith("no ")}
        cores = str(sum(entry.cores for entry in fit.placed) or "")
        assert rows[name]["cores"] == in_csv[name]["cores"] == cores
        assert printed[name][0] == ("fits" if fit.fits else "does not fit")


def test_what_quantize_prints_of_memory(shown):
    told = re.search(r"parameters: ([\d,]+) bytes, ([\d.]+) bits each", shown.before.printed["quantize"])
    tensors = [tensor for node in shown.program for tensor in node.tensors()]
    bits = sum(tensor.width * np.size(tensor.codes) for tensor in tensors)
    assert int(told[1].replace(",", "")) == math.ceil(bits / 8)
    assert told[2] == f"{bits / sum(np.size(tensor.codes) for tensor in tensors):.1f}"


def test_noise_of_the_page_and_the_csv(shown, figures):
    """Of the logits at exact times, where the program has ticks; every other cell stands for its own node."""
    _, rows = shown.table_of("Where precision is lost")
    traced, model, floats = shown.simulated["traced"], pumice.open_run(shown.folder).model.double(), []
    for tokens, times in shown.samples[:traced]:
        apart = torch.from_numpy(np.diff(times, prepend=times[:1]) / 1000).unsqueeze(0)
        with torch.no_grad():
            floats.append(model(torch.from_numpy(tokens).unsqueeze(0), apart, torch.tensor([len(times)]))[0].numpy())
    assert figures.near(rows["decoder"]["output"], figures.decibel(np.stack(floats), shown.logits[:traced]))
    kinds = {"norm": "norm", "ssm": "state", "y": "y", "gelu": "gelu", "gate": "gate", "out": "output"}
    in_csv, told_ones = shown.csv_of("nodes", "name"), 0
    for node in shown.program:
        ratio = shown.simulated["sqnr_db"].get(node.name)
        state = shown.simulated["sqnr_db"].get(f"{node.name}:state")
        assert in_csv[node.name]["sqnr_db"] == ("" if ratio is None else str(ratio))
        assert in_csv[node.name]["state_sqnr_db"] == ("" if state is None else str(state))
        kind = kinds.get(node.name.split("/")[-1], "output")
        told = state if kind == "state" else ratio
        if told is not None:
            assert figures.near(rows[figures.part_of(node.name)][kind], told)
            told_ones += 1
    assert told_ones == sum(bool(cell) for row in rows.values() for name, cell in row.items() if name != "dB")


def test_nodes_and_their_counters(shown):
    in_csv, clipped, late = shown.csv_of("nodes", "name"), defaultdict(int), defaultdict(int)
    for trace in shown.traces:
        for name, count in trace.saturations.items():
            clipped[name] += count
        for name, count in trace.clipped_gaps.items():
            late[name] += count
    for node in shown.program:
        row = in_csv[node.name]
        assert (row["type"], row["output"]) == (type(node).__name__, str(node.output))
        assert (int(row["channels"]), int(row["rate"])) == (node.channels, shown.program.rates[node.name])
        assert int(row["saturations"]) == clipped[node.name]
        assert row["clipped_gaps"] == (str(late[node.name]) if node.name in late else "")
    text = shown.page.text["Where precision is lost"]
    told = [f"{name} {count:,}" for name, count in clipped.items() if count]
    assert all(entry in text for entry in told) if told else "No value saturated on the test set." in text
    gone = [f"{name} {count:,}" for name, count in late.items() if count]
    assert all(entry in text for entry in gone) if gone else "No gap was clipped." in text


def test_time_constants_of_the_csv(shown):
    """tau = -tick / ln |a| of every mode, a the decay of one tick from its codes."""
    with (shown.folder / "report" / "time-constants.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["node", "mode", "ms"]
    told = {(name, int(mode)): value for name, mode, value in rows}
    ticks = {node.name: node.unit_us / 1000 for node in shown.program.gap_inputs}
    for node in shown.program.of_type(DiagonalSSM):
        unit = node.decay_exponent[0].astype(float)
        sizes = np.abs(1 + (node.decay_re[0] + 1j * node.decay_im[0]) / 2.0**unit)
        for mode, size in enumerate(sizes):
            edge, strides = node.inputs[1], 1
            while edge not in ticks:
                edge, strides = shown.program[edge].inputs[0], strides
            value = told.pop((node.name, mode))
            if size < 1:
                assert float(value) == pytest.approx(-ticks[edge] / math.log(size), rel=1e-3)
            else:
                assert value == ""
    assert not told
