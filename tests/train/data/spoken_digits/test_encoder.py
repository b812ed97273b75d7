"""The filter bank against its formulas, the neurons against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.train.data.spoken_digits import encoder

RATE = 22050


def test_centre_frequencies_are_evenly_spaced_in_erb_rate():
    centres = encoder.centre_frequencies()
    assert len(centres) == 700
    assert centres[[0, -1]] == pytest.approx([60.0, 9000.0])
    # The ERB-rate scale is the integral of 1 / ERB: 21.4 log10(1 + 0.00437 f).
    steps = np.diff(21.4 * np.log10(1 + 0.00437 * centres))
    assert steps == pytest.approx(np.full(699, steps[0]), rel=1e-9)


@pytest.mark.parametrize("channel", [50, 200, 400, 699])
def test_filters_peak_at_their_centre_with_the_bandwidth_of_a_gammatone(channel):
    centre = encoder.centre_frequencies()[[channel]]
    click = np.zeros(1 << 16)
    click[0] = 1.0
    gain = np.abs(np.fft.rfft(encoder.gammatone(click, RATE, centre)[0]))
    frequencies = np.fft.rfftfreq(len(click), 1 / RATE)
    assert frequencies[gain.argmax()] == pytest.approx(centre[0], rel=5e-4, abs=0.5)
    assert gain.max() == pytest.approx(1.0, abs=0.01)
    width = np.ptp(frequencies[gain > gain.max() / np.sqrt(2)])
    expected = 2 * np.sqrt(2 ** (1 / 4) - 1) * 1.019 * encoder.erb(centre[0])  # half power of a fourth-order resonance
    assert width == pytest.approx(expected, abs=2.0, rel=0.01)


@pytest.mark.parametrize("centre", [300.0, 1000.0, 4000.0])
def test_impulse_response_is_the_gammatone_formula(centre):
    click = np.zeros(2000)
    click[0] = 1.0
    response = encoder.gammatone(click, RATE, np.array([centre]))[0]
    t = np.arange(2000) / RATE
    b = 2 * np.pi * 1.019 * encoder.erb(centre)
    # b^4 / 3! t^3 exp(-b t) has the spectrum (1 + j w / b)^-4; the cosine halves it, so 2 makes the gain 1 at f_c.
    formula = 2 * b**4 / 6 * t**3 * np.exp(-b * t) * np.cos(2 * np.pi * centre * t) / RATE
    assert np.abs(response - formula).max() < 0.02 * np.abs(formula).max()


def plain_neurons(sound, keep, gain, refractory):
    spikes = []
    for channel, row in enumerate(sound):
        v, rest = 0.0, 0
        for step, value in enumerate(row):
            if rest:
                rest -= 1
                continue
            v = keep * v + (1 - keep) * gain * max(value, 0.0) ** 0.25
            if v > 1:
                spikes.append((step, channel))
                v, rest = 0.0, refractory
    return spikes


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    keep=st.floats(0.1, 0.999),
    gain=st.floats(0.5, 20.0),
    refractory=st.integers(0, 60),
)
def test_neurons_equal_a_plain_loop(seed, keep, gain, refractory):
    sound = np.random.default_rng(seed).normal(size=(3, 400))
    steps, channels = encoder.integrate_and_fire(sound, keep, gain, refractory)
    assert list(zip(steps, channels, strict=True)) == plain_neurons(sound, keep, gain, refractory)


def test_a_tone_excites_its_place_and_silence_nothing():
    t = np.arange(RATE // 4) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 1000 * t)
    times, units = encoder.encode(tone, RATE)
    assert times.dtype == np.float16
    assert units.dtype == np.uint16
    assert np.all(np.diff(times.astype(float)) >= 0)
    centres = encoder.centre_frequencies()
    assert np.median(centres[units]) == pytest.approx(1000, rel=0.1)
    assert len(encoder.encode(np.zeros(RATE // 4), RATE)[0]) == 0
