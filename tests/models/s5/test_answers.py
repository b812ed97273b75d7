"""Models that answer at every window (head "steps"): stepwise, in blocks, on the way, and at a sequence's steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.adlif.blocks import at_steps
from pumice.models.s5.blocks import advance_block
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config, every_of

BASE = {"num_classes": 3, "d_model": 6, "d_ssm": 8, "block_size": 4, "layers_per_stage": 2, "head": "steps"}
LENGTHS = [23, 17, 5, 1]


def made(stride, stages, **settings):
    generator = torch.Generator().manual_seed(3)
    model = S5Classifier(S5Config(**{**BASE, "vocab": 11, "stride": stride, "stages": stages, **settings}), generator)
    with torch.no_grad():
        model.decoder.bias.uniform_(-1, 1, generator=generator)
    tokens = torch.randint(11, (4, 23), generator=generator)
    dt = torch.rand(4, 23, generator=generator).double()
    return model.double().eval(), tokens, dt, torch.tensor(LENGTHS)


@pytest.mark.parametrize(("stride", "stages"), [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("pooling", ["avgpool", "timepool", "last"])
def test_every_answer_is_that_of_the_stream(stride, stages, pooling):
    model, tokens, dt, lengths = made(stride, stages, pooling=pooling)
    every, (encoded, _, _) = stride**stages, model.encode(tokens, dt, lengths)
    logits = model(tokens, dt, lengths)
    assert logits.shape == (4, 23 // every, 3)
    torch.testing.assert_close(logits, encoded @ model.decoder.weight.T + model.decoder.bias)
    for row, length in enumerate(LENGTHS):
        state, said = model.init_state(1), []
        assert (model.readout(state) == 0).all()
        for k in range(length):
            value, valid, state = model.step(tokens[row : row + 1, k], dt[row : row + 1, k], state)
            assert bool(valid) == ((k + 1) % every == 0)
            if valid:
                said.append(model.decoder(value)[0])
            newest = said[-1] if said else torch.zeros(3).double()
            torch.testing.assert_close(model.readout(state)[0], newest)
        rows, after = advance_block(model, tokens[row, :length], dt[row, :length], model.init_state(1))
        torch.testing.assert_close(model.readout(after), model.readout(state))
        assert len(said) == len(rows.value) == length // every
        if said:
            torch.testing.assert_close(logits[row, : length // every], torch.stack(said))
    heard = torch.tensor([[0, 3, 9, 23], [1, 2, 8, 17], [0, 1, 4, 5], [0, 0, 1, 1]])
    running = model.running(tokens, dt, lengths, None, heard)
    for row, column in np.ndindex(4, 4):
        complete = int(heard[row, column]) // every
        expected = logits[row, complete - 1] if complete else torch.zeros(3).double()
        torch.testing.assert_close(running[row, column], expected)


@pytest.mark.parametrize("every", [1, 2, 4, 9])
def test_windows_at_their_steps(every):
    """Against a loop; the steps after the last complete window have the last output, and padding means nothing."""
    outputs, lengths, steps = torch.randn(4, 23 // every, 2).double(), torch.tensor([23, 17, 5, 1]), 23
    found = at_steps(outputs, lengths, steps, every)
    assert found.shape == (4, 23, 2)
    for row, length in enumerate(lengths.tolist()):
        for step in range(length):
            place = min(step // every, length // every - 1)
            expected = outputs[row, place] if place >= 0 else torch.zeros(2).double()
            assert torch.equal(found[row, step], expected)
    assert at_steps(outputs[:, :0], lengths, steps, 24).abs().sum() == 0


def test_how_often_a_model_answers_is_told_before_it_is_made():
    assert every_of(S5Config, {"head": "steps", "stride": 4, "stages": 2}) == 16
    assert every_of(S5Config, {"head": "pool", "stride": "not looked at"}) is None
    with pytest.raises(PumiceError, match="stride"):
        every_of(S5Config, {"head": "steps", "stride": "four"})
