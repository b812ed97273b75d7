"""Calibration: ranges from every event, by max or squared error; what is not calibrated is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.exponents import power_of_two_frac
from pumice.quantize.families import prepare
from pumice.quantize.kernels.ranges import count, peak, peaks
from pumice.quantize.observers import Histogram, Peak, Peaks
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing

TIMING = Timing(tick_ms=0.5)


def activation_frac(values, width, signed=True, method="max"):
    return int(power_of_two_frac(values.reshape(1, -1), width, signed, narrow=False, method=method))


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20), min_size=1, max_size=4))
@settings(deadline=None)
def test_max_covers_everything_ever_seen(parts):
    histogram = Histogram()
    for part in parts:
        histogram.update(torch.tensor(part))
    everything = torch.tensor([value for part in parts for value in part])
    assert histogram.frac(8, True, "max") == activation_frac(everything, 8)
    assert int(histogram.counts.sum()) == len(everything)


@pytest.mark.parametrize("seed", range(4))
def test_mse_agrees_with_the_values_themselves(seed):
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(seed)) * 10.0 ** (seed - 2)
    values[0] = 40.0 * 10.0 ** (seed - 2)
    histogram = Histogram()
    for part in values.flip(0).split(30_000):  # the outlier comes last: bins have to merge
        histogram.update(part)
    assert histogram.frac(8, True, "mse") == activation_frac(values, 8, method="mse")
    assert histogram.frac(8, True, "mse") > histogram.frac(8, True, "max")


@pytest.mark.parametrize("width", [10, 11, 12])
def test_bins_are_fine_enough_for_wide_activations(width):
    for seed in range(16):
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(20_000, generator=generator) * torch.exp(2 * torch.randn(1, generator=generator))
        values = values * torch.where(torch.rand(20_000, generator=generator) < 0.001, 4, 1)
        histogram = Histogram()
        histogram.update(values)
        assert histogram.frac(width, True, "mse") == activation_frac(values, width, method="mse")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_counts_and_peaks_are_those_of_torch(dtype, threads, threads_as_before):
    torch.set_num_threads(threads)
    x = torch.randn(1301, 96, generator=torch.Generator().manual_seed(threads)).to(dtype).exp().clamp(max=70)
    x[7, 3], x[1300, 95] = -80.0, 0.0
    np.testing.assert_array_equal(count(x, 128.0, 512), torch.histc(x.double(), 512, -128.0, 128.0).numpy())
    np.testing.assert_array_equal(peaks(x), x.abs().amax(0).numpy())
    assert peak(x) == peak(x.flatten()[:6000]) == 80.0
    assert peak(x[:1, :5]) == float(x[0, :5].max())


@pytest.fixture
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_headroom_spares_a_bit():
    histogram = Histogram()
    histogram.update(torch.tensor([-3.0, 2.0]))
    assert histogram.frac(16, True, "max", 1) == histogram.frac(16, True, "max") - 1


def test_peaks_are_by_mode_over_both_parts():
    peaks = Peaks(2)
    peaks.update(torch.tensor([[1.0, -5.0, 2.0, 0.0], [-3.0, 0.0, 0.0, 4.0]]))
    assert peaks.largest.tolist() == [3.0, 5.0]


def test_peaks_are_those_of_all_batches():
    peaks = Peaks(2)
    for scale in (1.0, 5.0, 2.0):
        peaks.update(scale * torch.tensor([[1.0, -1.0, 0.5, 2.0]]))
    assert peaks.largest.tolist() == [5.0, 10.0]


def test_histograms_keep_the_sign():
    """The lowest code of 8 bits is one further from 0 than the highest."""
    values = torch.tensor([-1.0] * 50 + [3 / 128])
    for sign, frac in ((1, 7), (-1, 6)):
        histogram = Histogram()
        histogram.update(sign * values)
        assert histogram.frac(8, True, "mse") == frac == activation_frac(sign * values, 8, method="mse")


def test_padding_is_not_looked_at(build):
    """Padding reads row 0 of the embedding, here far outside what real events reach."""
    made = build({"norm": "batch"}, lengths=(64,))
    tokens, dt, lengths, pool_dt = made.batch
    tokens = tokens.clamp(min=1)
    with torch.no_grad():
        made.qat.model.embedding.weight[0] = 50.0
    found = []
    for more in (0, 37):
        values, gaps, weights = (torch.nn.functional.pad(part, (0, more)) for part in (tokens, dt, pool_dt))
        calibrate(made.qat, [Inputs(values, gaps, lengths, weights)])
        found.append({name: tensor.clone() for name, tensor in made.qat.state_dict().items() if "frac" in name})
    assert len(found[0]) > 20
    assert [name for name, tensor in found[0].items() if not torch.equal(tensor, found[1][name])] == []


def test_the_states_of_every_event_are_looked_at(build, monkeypatch):
    """Those between the samples of a stride too, and none of the padding."""
    rows, right = [], Peaks.update
    monkeypatch.setattr(Peaks, "update", lambda self, states: (rows.append(len(states)), right(self, states)))
    made = build({"stride": 4, "stages": 1, "layers_per_stage": 2}, lengths=(70, 57, 3, 1))
    assert rows == [70 + 57 + 3 + 1, 17 + 14]  # the second layer comes after a stride of 4
    rows.clear()
    observer = made.qat.observer()
    made.qat.observe(observer, made.batch)
    assert rows == [131, 31]


def test_states_keep_their_headroom(build):
    made = build()
    frozen = made.qat.freeze()
    _, trace = frozen.trace(made.batch)
    for layer in made.qat.layers:
        states = trace[layer.geometry.node("ssm") + ":state"]
        states = states[0]  # the sample without padding
        assert states.abs().max() < 2**15 - 1  # nothing saturates
        assert states.abs().amax(0).max() > 2**12  # and nothing is wasted


def test_an_uncalibrated_model_is_refused(build):
    made = build()
    fresh = prepare(made.model, QuantizationConfig(), TIMING)
    for use in (lambda: fresh(*made.batch), fresh.freeze, fresh.freeze_scales):
        with pytest.raises(PumiceError, match="not calibrated"):
            use()


def test_calibration_needs_a_complete_window(build):
    made = build()
    last = Inputs(*(part[3:] for part in made.batch))  # the sample of one event
    with pytest.raises(PumiceError, match="complete window"):
        calibrate(prepare(made.model, QuantizationConfig(), TIMING), [last])
    with pytest.raises(PumiceError, match="no value"):
        calibrate(prepare(made.model, QuantizationConfig(), TIMING), [])


def test_nan_is_refused(build):
    made = build()
    with torch.no_grad():
        made.model.stages[1].layers[0].ssm.B[0, 0, 0] = np.nan
    qat = prepare(made.model, QuantizationConfig(), TIMING)
    with pytest.raises(PumiceError, match="NaN or infinity"):
        calibrate(qat, [made.batch])
    with torch.no_grad():
        made.qat.model.stages[1].layers[0].gate.weight[0, 0] = np.inf
    with pytest.raises(PumiceError, match=r"stages\.1\.layers\.0: the folded weight 'gate'"):
        made.qat.freeze()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"width": {}}, "no setting 'width'"),
        ({"widths": {"states": 16}}, "no setting 'states'"),
        ({"widths": {"state": 40}}, "state=40 is impossible"),
        ({"widths": {"gate": 1}}, "gate=1 is impossible"),
        ({"widths": {"state": 12}}, "cannot read 16 bits"),
        ({"layers": {"stages.0.layers.1": {"stat": 20}}}, "no setting 'stat'"),
        ({"tick_ms": 0.0003}, "tick_ms"),
        ({"tick_ms": 0.0015}, "microseconds"),
        ({"calibration": {"method": "percentile"}}, "unknown"),
        ({"calibration": {"equalize": "yes"}}, "use true or false"),
        ({"qat": {"epochs": -1}}, "epochs"),
        ({"qat": 3}, "no mapping"),
    ],
)
def test_bad_settings_are_one_sentence(settings, sentence):
    with pytest.raises(PumiceError, match=sentence) as caught:
        QuantizationConfig.from_mapping(settings)
    assert "\n" not in str(caught.value)


def test_widths_of_a_layer_that_is_not_there(build):
    with pytest.raises(PumiceError, match=r"stages\.7\.layers\.0, which the model lacks"):
        build(layers={"stages.7.layers.0": {"state": 20}})


def test_the_layer_whose_values_are_not_finite_is_named(build):
    made = build({"stages": 1, "layers_per_stage": 2, "stride": 1})
    fresh = prepare(made.model, QuantizationConfig(), TIMING)
    gate = fresh.model.layers[1].gate
    with torch.no_grad():
        gate.weight.copy_(torch.full_like(gate.weight, 3e38))  # finite, its sums are not
    tokens, dt, lengths, pool_dt = made.batch
    with pytest.raises(PumiceError, match=r"^stages\.0\.layers\.1\.gate holds NaN or infinity in calibration; train"):
        calibrate(fresh, [Inputs(tokens, dt.float(), lengths, pool_dt.float())])


@pytest.mark.parametrize("observer", [Histogram("here"), Peak("here"), Peaks(1, "here")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_every_observer_names_what_is_not_finite(observer, value):
    with pytest.raises(PumiceError, match=r"^here holds NaN or infinity"):
        observer.update(torch.tensor([[0.0, value]]))
