"""S5 that answers at every window: its loss, its integers in every form, and fine-tuning by its float model."""

from __future__ import annotations

import math

import numpy as np
import pumice
import pytest
import torch
from pumice.api.frozen import padded_batch, run_frozen
from pumice.errors import PumiceError
from pumice.hw_sim import simulator
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.parity.fidelity import signal_to_noise
from pumice.program import reference
from pumice.quantize.families import family_of, lower
from pumice.quantize.weights import load_frozen, save_frozen
from pumice.train.data.sequences.batch import IGNORED
from pumice.train.data.sequences.stepwise import EventBlockBatch
from pumice.train.module import task_loss

KINDS = {
    "every event": {"stride": 1, "stages": 1},
    "every fourth, dense": {"stride": 2, "stages": 2, "vocab": None, "in_features": 6},
    "by time": {"stride": 3, "stages": 1, "pooling": "timepool", "norm": "batch"},
    "spiking": {"stride": 2, "stages": 1, "spiking": True},
}


def program_of(made):
    frozen = made.qat.freeze()
    return frozen, lower(made.qat, list("abcde"), frozen=frozen)


@pytest.mark.parametrize("pairing", ["causal", "next"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_give_the_same_integers(tmp_path, build, kind, pairing):
    made = build({**KINDS[kind], "head": "steps"}, pairing=pairing)
    frozen, program = program_of(made)
    assert [node.name for node in program][-2:] == ["decoder", "logits"]
    assert "readout" not in program.by_name
    save_frozen(tmp_path / "frozen.safetensors", frozen, {})
    loaded, _ = load_frozen(tmp_path / "frozen.safetensors")
    backends = {
        "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
        "twin": lambda program, samples, trace: run_frozen(loaded, program, samples, trace),
        "run": lambda program, samples, trace: simulator.run(program, samples, trace=trace, threads=1),
    }
    for traced in (0, len(made.samples)):
        result = compare(program, made.samples, backends, traced=traced)
        assert result.differing == 0, [verdict.first for verdict in result.verdicts]
    scale, every = program["decoder"].output.scale, program.rates["decoder"]
    logits = frozen(*made.batch).numpy()
    for row, trace in enumerate(reference.run(program, made.samples)):
        own = logits[row, : int(made.batch.lengths[row]) // every]
        np.testing.assert_array_equal(trace.series * scale, own)
    values = [family_of(made.model).float_values(made.model, program, padded_batch(made.samples[:1], pairing))]
    ratios = signal_to_noise(program, simulator.run_stepwise(program, made.samples[:1], trace=True), values)
    assert ratios["decoder"] > (5 if kind == "spiking" else 20)
    assert ratios["logits"] is not None


def test_a_read_out_is_what_the_other_heads_have(build):
    _, program = program_of(build({"head": "last", "stride": 1, "stages": 1}))
    assert [node.name for node in program][-2:] == ["readout", "decoder"]
    assert program.series is None


def batch_of(model, lengths, every, seed=0):
    """Random blocks, with steps that belong to none, and classes, of which some are not known."""
    rng, steps = np.random.default_rng(seed), max(lengths)
    blocks = rng.integers(0, 5, (len(lengths), steps)) * (np.arange(steps) < np.array(lengths)[:, None])
    targets = rng.integers(-1, 5, (len(lengths), 5))
    targets[:, 0] = IGNORED
    tokens, dt = (
        torch.from_numpy(rng.integers(0, 20, (len(lengths), steps))),
        torch.from_numpy(rng.random(blocks.shape)),
    )
    parts = torch.from_numpy(blocks), torch.from_numpy(targets)
    return EventBlockBatch(tokens, dt, torch.tensor(lengths), *parts, every)


@pytest.mark.parametrize("stride", [1, 3])
def test_the_loss_is_that_of_a_plain_loop(build, stride):
    """Uneven lengths, unlabelled steps and blocks without a step; and padding is heard by nobody."""
    model = build({"head": "steps", "stride": stride, "stages": 1}, double=True).model
    lengths = [23, 11, 2, 16]
    batch = batch_of(model, lengths, stride)
    loss = task_loss(*batch.apply(model))
    total, count = 0.0, 0
    for row, length in enumerate(lengths):
        own = slice(row, row + 1), slice(0, length)
        with torch.no_grad():
            said = model(batch.tokens[own], batch.dt[own], torch.tensor([length]))[0].numpy()
        for block in range(1, 5):
            target = int(batch.targets[row, block])
            if target == IGNORED:
                continue
            sums, steps = [0.0] * 5, 0
            for step in range(length):
                place = min(step // stride, length // stride - 1)
                if int(batch.blocks[row, step]) == block:
                    steps += 1
                    if place >= 0:
                        sums = [a + float(b) for a, b in zip(sums, said[place], strict=True)]
            mean = [each / max(steps, 1) for each in sums]
            total += math.log(sum(map(math.exp, mean))) - mean[target]
            count += 1
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-12)
    other = batch._replace(
        tokens=torch.where(torch.arange(23) < batch.lengths.unsqueeze(1), batch.tokens, 7),
        dt=torch.where(torch.arange(23) < batch.lengths.unsqueeze(1), batch.dt, 0),
    )
    assert torch.equal(task_loss(*other.apply(model)), loss)


def labelled_samples(count=24):
    """Which of two tokens came last, named at every event but the first ones."""
    rng, samples, labels = np.random.default_rng(0), [], []
    for number in range(count):
        tokens = rng.integers(0, 4, 20 + number % 5)
        named = np.full(len(tokens), -1)
        for k in range(3, len(tokens)):
            named[k] = tokens[k] // 2
        samples.append((tokens, 1000 * np.arange(len(tokens))))
        labels.append(named)
    return samples, labels


def test_from_plain_samples_to_a_tuned_program():
    """By the front door: labels a row, calibration, fine-tuning, and the answers of the program."""
    settings = {"d_model": 8, "d_ssm": 8, "block_size": 4, "stages": 1, "layers_per_stage": 1, "stride": 1}
    model = pumice.build_model({"family": "s5", **settings, "head": "steps", "dt_max": 1.0}, num_classes=2, vocab=4)
    samples, labels = labelled_samples()
    batches = pumice.make_batches(model, samples, labels, batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(25):
        for batch in batches:
            optimizer.zero_grad()
            task_loss(*batch.apply(model)).backward()
            optimizer.step()
    done = pumice.quantize(model, batches, {"name": "w8a8", "qat": {"epochs": 1}}, fine_tune=True)
    assert done.chosen in ("ptq", "qat")
    assert len(done.choice.candidates) >= 3
    assert done.choice.decisions == sum(int((named >= 0).sum()) for named in labels)
    right = total = 0
    for trace, named in zip(pumice.simulate(done.program, samples), labels, strict=True):
        known = named >= 0
        right += int((trace.series.argmax(1)[known] == named[known]).sum())
        total += int(known.sum())
    assert right > 0.95 * total
    parity = pumice.compare(done.program, samples, ["reference", "twin", "run", "step"], frozen=done.frozen)
    assert parity.differing == 0
    pumice.quantize(model, samples)  # without labels it is calibrated alone
    once = pumice.build_model({"family": "s5", **settings}, num_classes=2, vocab=4)
    with pytest.raises(PumiceError, match=r"other answers than the model gives \(model.head=pool\)"):
        pumice.quantize(once, batches)
    with pytest.raises(PumiceError, match="sample 1: its labels have shape"):
        pumice.make_batches(model, samples[:2], [labels[0], labels[1][1:]])
