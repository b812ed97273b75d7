"""From a sound file of any rate, width, channel count and length to one channel at the cochlea's rate."""

from __future__ import annotations

from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ....errors import PumiceError
from ..files.columns import open_limited
from ..spoken_digits.synthesis import MARGIN_S, SILENCE

SUFFIXES = (".wav", ".flac", ".ogg")
RATE = 22_050
"""At which the embedded digits are spoken: twice the highest filter and more."""
LOWEST_RATE, HIGHEST_RATE, MOST_CHANNELS = 1_000, 192_000, 32
BLOCK = 1 << 16


def decode(path: Path, longest_s: float) -> tuple[int, NDArray[np.float32]]:
    """The sample rate in Hz of a file and its samples (n,), the mean of its channels.

    Raises:
        PumiceError: it cannot be read, is longer than ``longest_s`` seconds, or holds values that are not finite.
    """
    import soundfile

    try:
        with open_limited(path) as file, soundfile.SoundFile(file) as sound:
            rate, channels, declared = sound.samplerate, sound.channels, sound.frames
            if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                raise ValueError(f"its rate is {rate:,} Hz, known are {LOWEST_RATE:,} to {HIGHEST_RATE:,}; resample it")
            if channels > MOST_CHANNELS:
                raise ValueError(f"it has {channels} channels, the limit is {MOST_CHANNELS}; mix them")
            most = int(longest_s * rate)
            if declared > most:
                raise ValueError(
                    f"it lasts {declared / rate:,.1f} s, the limit is {longest_s:g} s; cut it, or raise "
                    "task.audio.longest_s"
                )
            blocks: list[NDArray[np.float32]] = []
            while (left := most + 1 - sum(map(len, blocks))) > 0:
                block = sound.read(min(BLOCK, left), dtype="float32", always_2d=True)
                if not len(block):
                    break
                blocks.append(block.mean(axis=1))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PumiceError(f"{path} cannot be read as sound ({reason})") from error
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not np.isfinite(samples).all():
        raise PumiceError(f"{path} cannot be read as sound (it has samples that are not finite)")
    if len(samples) < declared or len(samples) > most:
        raise PumiceError(
            f"{path} cannot be read as sound (it declares {declared:,} samples and holds others; cut off?)"
        )
    return rate, samples


def resample(samples: NDArray[np.floating], rate: int) -> NDArray[np.float64]:
    """Samples (n,) at ``rate`` Hz as (m,) at `RATE`, by a polyphase filter."""
    common = gcd(rate, RATE)
    wide = samples.astype(np.float64)
    return wide if rate == RATE else resample_poly(wide, RATE // common, rate // common)


def level(path: Path, samples: NDArray[np.float64], trim: bool) -> NDArray[np.float64]:
    """Scale the peak of (n,) samples at `RATE` to 1; cut silence off both ends if asked to.

    Raises:
        PumiceError: there is nothing but silence.
    """
    magnitude = np.abs(samples)
    peak = magnitude.max(initial=0.0)
    if peak == 0:
        raise PumiceError(f"{path} is silent; leave it out")
    if trim:
        (loud,) = np.nonzero(magnitude > SILENCE * peak)
        margin = round(MARGIN_S * RATE)
        samples = samples[max(loud[0] - margin, 0) : loud[-1] + 1 + margin]
    return samples / peak
