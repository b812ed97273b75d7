"""The folder of a program in C: what its main reads, its known answers, and figures of its README."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from pruned import pruned
from pumice.errors import PumiceError
from pumice.export.c import Generated, made_samples, sources, write_c
from pumice.export.c.build import Built
from pumice.export.c.compiler import STRICT
from pumice.hw_sim.simulator import run
from pumice.program import ProgramError
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.program.samples import codes

SMALL = {"stages": 1, "layers": 1, "width": 3, "modes": 2}
PROGRAMS = {
    "tokens": random_program(3, **SMALL, value="token", pairing="causal", stride=2, readout="time"),
    "next": random_program(4, **SMALL, value="token", pairing="next", stride=1, readout="mean"),
    "dense": random_program(5, **SMALL, value="dense", pairing="next", stride=1, readout="last"),
    "steps": random_network(15, value="dense", input="ternary", layers=1),
}
LENGTHS = (30, 1, 17)


def logits(program, samples):
    return np.stack([trace.logits for trace in run(program, samples, threads=1)])


@pytest.fixture(scope="module")
def folder(compiler, tmp_path_factory):
    """``folder(name)``: that of one of ``PROGRAMS``, with its executables."""
    made = {}

    def one(name):
        if name not in made:
            program, samples = PROGRAMS[name], made_samples(PROGRAMS[name])
            made[name] = write_c(
                Generated(program, "net"), tmp_path_factory.mktemp(name) / "c", samples, logits(program, samples)
            )
            make(made[name], "all", *([f"CC={' '.join(compiler)}"]))
        return made[name]

    return one


def make(folder, *targets):
    done = subprocess.run(["make", "-s", *targets], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def main(folder, text):
    return subprocess.run([folder / "main"], input=text, capture_output=True, text=True, check=False)


def lines_of(program, sample):
    """A recording as main reads it."""
    values, times = codes(program, sample)[0], sample[1]
    if program.pairing == "next":
        values = np.concatenate(
            [values, np.zeros_like(values, shape=(1, values.shape[1]))]
        )  # the last event only ends a gap
    columns = values if program.clocked else np.concatenate([times[: len(values), None], values], axis=1)
    return "".join(" ".join(map(str, row)) + "\n" for row in columns.tolist())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("name", PROGRAMS)
def test_main_decides_as_the_simulator(folder, name):
    program = PROGRAMS[name]
    samples = [random_sample(program, seed, length) for seed, length in enumerate(LENGTHS)]
    said = main(folder(name), "\n".join(lines_of(program, sample) for sample in samples))
    assert said.returncode == 0, said.stderr
    found = [line.split(":") for line in said.stdout.splitlines()]
    wanted = logits(program, samples)
    assert [[int(number) for number in scores.split()] for _, scores in found] == wanted.tolist()
    for (head, _), row in zip(found, wanted, strict=True):
        best = int(row.argmax())
        assert head.startswith(f"{best} {program.class_names[best]}")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("name", ["tokens", "steps"])
def test_known_answers_hold_and_notice_a_wrong_weight(folder, tmp_path, name):
    assert make(folder(name), "test") == "0 of 6 logits differ from those of the program (0 is right)\n"
    wrong = shutil.copytree(folder(name), tmp_path / "wrong")
    source = (wrong / "net.c").read_text()
    table = re.search(r"(n\d+_(?:bias|weight)\[\d+\] = \{\n +)(-?\d+)", source[source.rindex("static const") :])
    at = source.rindex("static const") + table.start(2)
    (wrong / "net.c").write_text(f"{source[:at]}{int(table[2]) + 40}{source[at + len(table[2]) :]}")
    done = subprocess.run(["make", "-s", "test"], cwd=wrong, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.match(r"[1-6] of 6 logits differ", done.stdout)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("tokens", "0 1\n5 11\n", "line 2: the event is outside"),
        ("tokens", "7 1\n5 1\n", "line 2: the event is outside"),
        ("tokens", "7 1 3\n", "line 1: 2 whole numbers"),
        ("tokens", "7\n", "line 1: 2 whole numbers"),
        ("tokens", "7 one\n", "line 1: 2 whole numbers"),
        ("tokens", "7 99999999999999999999\n", "line 1: 2 whole numbers"),
        ("dense", "0 1 2 300\n", "line 1: the event is outside"),
        ("steps", "-2 2" + " 0" * 9 + "\n", "line 1"),
    ],
)
def test_main_refuses_a_bad_line_by_its_number(folder, name, text, complaint):
    said = main(folder(name), text)
    assert said.returncode == 2
    assert said.stdout == ""
    assert said.stderr.startswith(complaint)


TRIAL = """
#include <stdio.h>
#include "net.h"
static net_state one, other, before;
int main(void)
{
    net_logit a[NET_CLASSES], b[NET_CLASSES];
    int differing = 0;
    net_reset(&one);
    net_reset(&other);
    for (int k = 0; k < 60; k++) { /* two streams side by side, one of them half as fast */
        net_step(&one, (uint32_t)(k * 7 % 11), k % 3, k);
        if (k % 2 == 0) {
            net_step(&other, (uint32_t)(k / 2 * 7 % 11), k / 2 % 3, k / 2);
        }
    }
    before = one;
    differing += net_step(&one, 11, 0, 0) != NET_REFUSED;
    differing += net_step(&one, 0, -1, 0) != NET_REFUSED;
    differing += net_step(&one, 0, INT64_MAX, 0) != NET_REFUSED;
    for (size_t i = 0; i < sizeof one; i++) {
        differing += ((unsigned char *)&one)[i] != ((unsigned char *)&before)[i];
    }
    net_reset(&one);
    for (int k = 0; k < 30; k++) {
        net_step(&one, (uint32_t)(k * 7 % 11), k % 3, k);
    }
    net_logits(&one, a);
    net_logits(&other, b);
    for (size_t i = 0; i < NET_CLASSES; i++) {
        differing += a[i] != b[i];
    }
    printf("%d %d", differing, (int)sizeof one);
    return 0;
}
"""


def test_instances_stand_side_by_side_and_refused_events_change_nothing(compiler, tmp_path):
    generated = Generated(PROGRAMS["tokens"], "net")
    for name, text in {**sources(generated), "trial.c": TRIAL}.items():
        (tmp_path / name).write_text(text)
    subprocess.run([*compiler, *STRICT, "-O2", "-o", "trial", "trial.c", "net.c"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "trial"], capture_output=True, text=True, check=True).stdout
    assert said == f"0 {generated.state_bytes}"


@pytest.mark.parametrize("zeros", [0.0, 0.95])
def test_the_readme_adds_up(tmp_path, zeros):
    program = pruned(PROGRAMS["dense"], zeros)
    generated, samples = Generated(program, "net"), made_samples(program)
    text = (write_c(generated, tmp_path / "c", samples, logits(program, samples)) / "README.md").read_text()
    figures = {
        what: int(number.replace(",", "")) for what, number in re.findall(r"^\| (.*) \| ([\d,]+) \|$", text, re.M)
    }
    flash = [int(number.replace(",", "")) for number in re.findall(r"^\| .* \| ([\d,]+) \| [\d,]+ \|$", text, re.M)]
    size = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "int64_t": 8}
    found = re.findall(r"static const (u?int\d+_t) n\d+_\w+\[(\d+)\]", sources(generated)["net.c"])
    assert figures["flash, constants"] == sum(flash) == sum(size[kind] * int(count) for kind, count in found)
    kept, work = figures["RAM, what a network remembers"], figures["RAM, space that a step works in"]
    assert 0 <= figures["RAM, one `net_state` in all"] - kept - work < 16
    assert f"`floor(x * {2.0**program.value_input.output.frac:g} + 1/2)`" in text
    less = re.search(r"Matrices of which only .* with its place: (\d+); ([\d,]+) bytes less\.", text)
    assert less or not zeros
    if less:
        saved = generated.kept.saved.values()
        assert (int(less[1]), int(less[2].replace(",", ""))) == (len(saved), sum(saved))


def test_a_folder_that_exists_stays_as_it_is(tmp_path):
    (tmp_path / "c").mkdir()
    samples = made_samples(PROGRAMS["tokens"])
    with pytest.raises(PumiceError, match=r"cannot write .*: File exists; choose another folder"):
        write_c(Generated(PROGRAMS["tokens"]), tmp_path / "c", samples, logits(PROGRAMS["tokens"], samples))
    assert list(tmp_path.iterdir()) == [tmp_path / "c"]
    assert not list((tmp_path / "c").iterdir())


def test_samples_that_the_program_cannot_take_are_refused(compiler):
    built = Built([Generated(PROGRAMS["tokens"])])
    with pytest.raises(ProgramError, match="sample 0, event 1"):
        built.run(0, [(np.array([1, 11]), np.array([0, 1]))])
