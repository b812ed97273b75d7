"""Pictures of random programs: every node and edge is there, and nothing lies over anything else."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from pumice.hw_sim.report.graph import HEIGHT, ROW, picture, rate_text
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program


def read(svg):
    """Boxes by node as (left, top, right, bottom), names from outside, and edges as (from, to, class, path)."""
    root = ElementTree.fromstring(str(svg))
    boxes = {}
    for group in root.iter("g"):
        box = group.find("rect")
        left, top, width, height = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        boxes[group.get("data-node")] = (left, top, left + width, top + height)
    edges = [(p.get("data-from"), p.get("data-to"), p.get("class"), p.get("d")) for p in root.iter("path")]
    return boxes, edges, [float(text) for text in root.get("viewBox").split()]


@pytest.mark.parametrize("program", [*map(random_program, range(8)), *map(random_network, range(4))])
def test_every_node_and_edge_is_drawn_once_and_apart(program):
    found = picture(program)
    parts = [name for card in found["cards"] for name in card["parts"]]
    assert sorted(parts) == sorted(entry["part"] for entry in found["chain"])
    drawn = set()
    for card in found["cards"]:
        boxes, edges, (_, _, width, height) = read(card["svg"])
        drawn |= set(boxes)
        expected = [
            (edge, name, None if role == "value" else role)
            for name in boxes
            for edge, role in zip(program[name].inputs, program[name].roles, strict=True)
        ]
        assert sorted(edges_without(edges), key=str) == sorted(expected, key=str)
        for left, top, right, bottom in boxes.values():
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
        for one, other in combinations(boxes.values(), 2):
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)
        for source, reader, _, path in edges:
            x, y = (float(number) for number in path.split(" ")[-2:])
            left, top, right, _ = boxes[reader]
            assert y == top
            assert left <= x <= right
            start = float(re.match(r"M\S+ ([\d.]+)", path)[1])
            assert path.count("C") == round((top - start + HEIGHT) / ROW)  # one bend a row: between boxes, never across
            if source in boxes:
                assert boxes[source][3] < top  # below what it reads
    alike = sum(len(card["parts"]) for card in found["cards"]) - len(found["cards"])
    assert len(drawn) < len(program.nodes) if alike else drawn == {node.name for node in program}


def edges_without(edges):
    return [edge[:3] for edge in edges]


def test_the_parts_come_in_the_order_of_the_data():
    chain = picture(random_program(0))["chain"]
    assert random_program(0).value_input.name in chain[0]["part"]
    assert chain[-1]["rate"] == 0
    assert chain[-1]["channels"] == random_program(0)[random_program(0).logits].channels


def test_how_often_a_part_speaks():
    assert [rate_text(rate, "step") for rate in (0, 1, 8)] == ["when asked", "every step", "every 8 steps"]
