"""A stream in blocks of events is the stream event by event."""

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.blocks import advance_block
from pumice.models.s5.build import build_s5
from pumice.models.spikings5.build import build_spikings5

CUTS = ([90], [1, 2, 3, 10, 20, 54], [7] * 12 + [6])
SETTINGS = {"d_model": 8, "d_ssm": 8, "block_size": 4, "stride": 3}
KINDS = {
    "gated": (build_s5, {}),
    "zoh, weighted by time": (build_s5, {"discretization": "zoh", "pooling": "timepool", "head": "timepool"}),
    "last, batch norm, all modes": (build_s5, {"pooling": "last", "head": "last", "norm": "batch", "conj_sym": False}),
    "spiking": (build_spikings5, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_steps(kind):
    build, changes = KINDS[kind]
    model = build(SETTINGS | changes, num_classes=3, vocab=11, seed=1).double().eval()
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 11, (90,), generator=generator)
    dt, pool_dt = torch.rand(2, 90, generator=generator, dtype=torch.float64) * 5
    dt[10:20] = 0
    state, outputs = model.init_state(1), []
    with torch.no_grad():
        for k in range(90):
            value, valid, state = model.step(tokens[k : k + 1], dt[k : k + 1], state, pool_dt[k : k + 1])
            outputs += [value[0]] if valid else []
        for cuts in CUTS:
            following, found, at = model.init_state(1), [], 0
            for count in cuts:
                part = slice(at, at + count)
                rows, following = advance_block(model, tokens[part], dt[part], following, pool_dt[part])
                found.append(rows.value)
                at += count
            torch.testing.assert_close(torch.cat(found), torch.stack(outputs), rtol=0, atol=1e-12)
            torch.testing.assert_close(model.readout(following), model.readout(state), rtol=0, atol=1e-12)
            assert int(following.count) == len(outputs) == 10
            torch.testing.assert_close(following.total_time, pool_dt.sum()[None])


def test_training_models_and_unknown_tokens_are_refused():
    model = build_s5(SETTINGS, num_classes=3, vocab=11, seed=1)
    with pytest.raises(PumiceError, match="evaluation mode"):
        advance_block(model, torch.zeros(1, dtype=torch.int64), torch.zeros(1), model.init_state(1))
    with pytest.raises(PumiceError, match="11"):
        advance_block(model.eval(), torch.tensor([11]), torch.zeros(1), model.init_state(1))
