"""The program on the page: its parts and nodes, their widths and ranges, and the bytes of each."""

import re
from collections import defaultdict

import pytest
from pumice.program.nodes import DiagonalSSM


def list_of(values):
    return ", ".join(str(value) for value in sorted(set(values)))


def ends(values):
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def test_parts_have_the_widths_and_saturations_of_their_nodes(shown, figures):
    _, rows = shown.table_of("Program")
    nodes, clipped = defaultdict(list), defaultdict(int)
    for node in shown.program:
        nodes[figures.part_of(node.name)].append(node)
    for trace in shown.traces:
        for name, count in trace.saturations.items():
            clipped[figures.part_of(name)] += count
    events = sum(len(times) for _, times in shown.samples)
    assert list(rows) == list(nodes)
    assert any(clipped.values())
    for part, row in rows.items():
        tensors = [tensor for node in nodes[part] for tensor in node.tensors()]
        matrices = [re.match(r"(input_(re|im)|weights\[\d\])$", tensor.name) is not None for tensor in tensors]
        if part == "embedding":
            matrices = [True]
        assert row["weights"] == list_of(t.width for t, is_weight in zip(tensors, matrices, strict=True) if is_weight)
        told = {width for cell in (row["tables"], row["constants"]) for width in cell.split(", ") if width}
        assert told == {str(t.width) for t, is_weight in zip(tensors, matrices, strict=True) if not is_weight}
        assert row["values"] == list_of(node.output.width for node in nodes[part])
        assert row["fractional bits"] == ends([node.output.frac for node in nodes[part]])
        states = [node for node in nodes[part] if isinstance(node, DiagonalSSM)]
        assert row["states"] == list_of(node.state_width for node in states)
        assert row["their fractional bits"] == (ends([int(f) for s in states for f in s.state_frac]) if states else "")
        assert row["saturated"] == f"{clipped[part]:,}"
        assert figures.near(row["in 1,000 events"], clipped[part] / events, 1000)


def test_every_node_with_its_format_and_what_is_used_of_it(shown, figures):
    _, rows = shown.table_of("Program", 1)
    assert list(rows) == [node.name for node in shown.program]
    told = 0
    for node in shown.program:
        row, width = rows[node.name], node.output.width
        assert row["computes"] == type(node).__name__
        assert (row["bits"], row["fractional bits"]) == (str(width), str(node.output.frac))
        if node.name.split("/")[-1] in ("norm", "y", "gate", "out", "embedding", "decoder"):
            assert float(row["from"]) == pytest.approx(-(2.0 ** (width - 1 - node.output.frac)), rel=1e-3)
            assert float(row["to"]) == pytest.approx((2 ** (width - 1) - 1) * 2.0**-node.output.frac, rel=1e-3)
        found = shown.simulated["ranges"].get(node.name)
        assert (row["bits used"] != "") == (found is not None)
        if found is not None:
            seen = [place for place, count in enumerate(found["counts"], found["first"]) if count]
            assert row["bits used"] == f"{max(seen)} of {found['bits']}"
            told += 1
    assert told > 10
    for node in shown.program.of_type(DiagonalSSM):
        assert rows[node.name]["states"] == f"{node.state_width} ({ends([int(f) for f in node.state_frac])})"


def test_the_picture_has_the_edges_of_the_program(shown):
    drawn = re.findall(r'data-from="([^"]*)" data-to="([^"]*)"', shown.page.source)
    boxes = re.findall(r'data-node="([^"]*)"', shown.page.source)
    expected = [(edge, name) for name in boxes for edge in shown.program[name].inputs]
    assert sorted(drawn) == sorted(expected)
    assert len(boxes) == len(set(boxes)) > 20
    text = shown.page.text["Program"]
    assert "layer 0.0 8 channels, every 4 events" in text
    assert "20 channels, when asked" in text


def test_memory_by_kind_adds_up_to_the_programs_own(shown, figures):
    _, rows = shown.table_of("Memory")
    expected = {name: defaultdict(float) for name in rows if name not in ("integer", "float32")}
    for node in shown.program:
        entry = expected.get(figures.part_of(node.name), {})
        for tensor in node.tensors():
            weight = tensor.name.startswith(("weights[", "input_")) or node.name == "embedding"
            part = tensor.name.startswith(("decay", "table"))
            entry["weights" if weight else "tables" if part else "constants"] += tensor.codes.size * tensor.width / 8
        for state in node.states():
            entry["states" if isinstance(node, DiagonalSSM) else "buffers"] += state.size * state.width / 8
    sums, kinds = defaultdict(float), ("weights", "tables", "constants", "states", "buffers")
    for name, entry in expected.items():
        for kind in kinds:
            assert figures.near(rows[name][kind] or "0", entry[kind])
            sums[kind] += entry[kind]
    for kind, size in sums.items():
        assert figures.near(rows["integer"][kind], size)
    kept = sums["weights"] + sums["tables"] + sums["constants"]
    assert kept == sum(node.parameter_bits for node in shown.program) / 8
    assert sums["states"] + sums["buffers"] == sum(node.state_bits for node in shown.program) / 8
    bars = {name: entry for name, entry in expected.items() if sum(entry.values())}
    widest = max(sum(entry.values()) for entry in bars.values())
    part = shown.page.source.split("<h2>Memory</h2>")[1].split("</table>")[0]
    for name, entry in bars.items():
        row = next(row for row in part.split("<tr>") if row.startswith(f"<td>{name}</td>"))
        widths = [float(width) for width in re.findall(r"width: ([\d.]+)%", row)]
        assert widths == pytest.approx([entry[kind] / widest * 100 for kind in kinds if entry[kind]], abs=0.01)
