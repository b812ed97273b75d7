"""Sound to spikes: a gammatone filter bank with a leaky integrate-and-fire neuron per channel."""

from __future__ import annotations

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

CHANNELS = 700
LOWEST_HZ = 60.0
HIGHEST_HZ = 9000.0
BANDWIDTH = 1.019  # of a fourth-order gammatone in equivalent rectangular bandwidths (Patterson et al. 1992)
RINGING_S = 0.1  # silence appended before the circular convolution, so that the slowest filter does not wrap around
CHUNK = 50  # channels filtered at once: bounds the memory

# Membrane: 10 ms, threshold 1. GAIN sets the density, about 10,000 spikes a second over all channels.
TAU_S = 0.010
GAIN = 6.2
REFRACTORY_S = 0.002


def erb(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equivalent rectangular bandwidth in Hz at frequencies in Hz (Glasberg and Moore 1990, eq. 3)."""
    return 24.7 * (1 + 4.37e-3 * frequency_hz)


def centre_frequencies(channels: int = CHANNELS, lowest: float = LOWEST_HZ, highest: float = HIGHEST_HZ) -> np.ndarray:
    """Frequencies (channels,) in Hz, rising, equally spaced on the ERB-rate scale (Glasberg and Moore 1990, eq. 4)."""
    low, high = np.log1p(4.37e-3 * np.array([lowest, highest]))
    return np.expm1(np.linspace(low, high, channels)) / 4.37e-3


def gammatone_response(frequencies_hz: np.ndarray, centres_hz: np.ndarray) -> np.ndarray:
    """Frequency response (centres, frequencies), complex, of t^3 exp(-2 pi b t) cos(2 pi f_c t); 1 at each centre.

    b = 1.019 ERB(f_c). Only the resonance at +f_c is kept; the mirrored one at -f_c lies many bandwidths away.
    """
    detuning = (frequencies_hz[None, :] - centres_hz[:, None]) / (BANDWIDTH * erb(centres_hz))[:, None]
    response = 1.0 / (1.0 + 1j * detuning)
    response *= response
    response *= response  # the fourth power, twice squared: a complex power is ten times slower
    return response


def gammatone(samples: np.ndarray, sample_rate: float, centres_hz: np.ndarray) -> np.ndarray:
    """Filter (n,) samples by every channel: (channels, n). ``sample_rate`` in Hz."""
    size = scipy.fft.next_fast_len(len(samples) + round(RINGING_S * sample_rate), real=True)
    response = gammatone_response(scipy.fft.rfftfreq(size, 1 / sample_rate), centres_hz)
    return scipy.fft.irfft(scipy.fft.rfft(samples, size) * response, size)[:, : len(samples)]


@numba.njit(cache=True, nogil=True)
def _compress(sound: NDArray[np.float64], scale: float, drive: NDArray[np.float64]) -> None:
    for step in range(len(sound)):
        drive[step] = scale * np.sqrt(np.sqrt(max(sound[step], 0.0)))


@numba.njit(cache=True, nogil=True)
def _fire(drive: NDArray[np.float64], keep: float, refractory: int, spikes: NDArray[np.int64]) -> int:
    count = 0
    step = 0
    v = 0.0
    while step < len(drive):
        v = keep * v + drive[step]
        if v > 1.0:
            spikes[count] = step
            count += 1
            v = 0.0
            step += refractory
        step += 1
    return count


@numba.njit(cache=True, nogil=True)
def _fire_each(
    sound: NDArray[np.float64],
    keep: float,
    scale: float,
    refractory: int,
    spikes: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    drive = np.empty(sound.shape[1])
    for channel in range(len(sound)):
        _compress(sound[channel], scale, drive)
        counts[channel] = _fire(drive, keep, refractory, spikes[channel])


def integrate_and_fire(
    sound: NDArray[np.float64], keep: float, gain: float, refractory: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leaky integrate-and-fire neurons, one per row of ``sound`` (channels, n): int64 steps and channels of the spikes.

    The current is I = gain max(sound, 0)^(1/4), half-wave rectified and compressed, and v <- keep v + (1 - keep) I.
    Where v > 1 the channel spikes, v is reset to 0 and held there for ``refractory`` steps. The compression is a
    square root of a square root because that is correctly rounded on every machine; a power is not. The inner loops
    are functions of their own so that the compiler vectorises them.
    """
    channels, n = sound.shape
    spikes = np.empty((channels, n // (refractory + 1) + 1), np.int64)  # room for as many as there can be
    counts = np.empty(channels, np.int64)
    _fire_each(np.ascontiguousarray(sound), keep, (1.0 - keep) * gain, refractory, spikes, counts)
    return spikes[np.arange(spikes.shape[1]) < counts[:, None]], np.repeat(np.arange(channels), counts)


def parameters() -> dict[str, float]:
    """The constants that the spikes depend on, for provenance."""
    return {
        "channels": CHANNELS,
        "lowest_hz": LOWEST_HZ,
        "highest_hz": HIGHEST_HZ,
        "bandwidth_erb": BANDWIDTH,
        "tau_s": TAU_S,
        "gain": GAIN,
        "refractory_s": REFRACTORY_S,
    }


def encode(
    samples: np.ndarray, sample_rate: float, dtype: type[np.floating] = np.float16, chunk: int = CHUNK
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of (n,) samples at ``sample_rate`` Hz: times (s, sorted) and units (uint16, ties rising).

    Args:
        samples: the sound.
        sample_rate: in Hz.
        dtype: of the times. As in SHD they are float16: a resolution of 0.49 ms between 0.5 s and 1 s.
        chunk: channels that are filtered at once.
    """
    centres = centre_frequencies()
    keep = float(np.exp(-1.0 / (TAU_S * sample_rate)))
    refractory = round(REFRACTORY_S * sample_rate)
    steps, channels = [], []
    for start in range(0, CHANNELS, chunk):
        sound = gammatone(samples, sample_rate, centres[start : start + chunk])
        chunk_steps, chunk_units = integrate_and_fire(sound, keep, GAIN, refractory)
        steps.append(chunk_steps)
        channels.append(chunk_units + start)
    times = (np.concatenate(steps) / sample_rate).astype(dtype)
    units = np.concatenate(channels).astype(np.uint16)
    order = np.lexsort((units, times))
    return times[order], units[order]
