"""Synthesis of single spoken digits with espeak-ng."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ....errors import PumiceError

SCRIPT = Path(__file__).with_name("espeak.py")
SILENCE = 0.004  # of the peak: quieter than this at either end is cut off
MARGIN_S = 0.01  # kept around what is left
TIMEOUT_S = 60


@dataclass(frozen=True)
class Utterance:
    """One word as one voice says it.

    Attributes:
        text: the word, spelt in the language of the voice.
        voice: espeak-ng voice and variant, such as ``en-us+f2``.
        rate: speed in words per minute (80 to 450).
        pitch: base pitch, 0 to 99.
        range: pitch range, 0 to 99.
        volume: loudness in percent; the samples are scaled to the peak volume / 100.
        seed: seed of espeak-ng's own generator, non-negative.
    """

    text: str
    voice: str
    rate: int
    pitch: int
    range: int
    volume: int
    seed: int


def loader_version() -> str | None:
    """Version of the installed espeakng-loader, or None without it."""
    try:
        return importlib.metadata.version("espeakng-loader")
    except importlib.metadata.PackageNotFoundError:
        return None


def speak(utterance: Utterance) -> tuple[int, np.ndarray]:
    """Speak one utterance in a fresh process: (sample rate in Hz, samples (n,) float64, trimmed).

    Raises:
        PumiceError: espeakng-loader is not installed, or espeak-ng refused the request.
    """
    if importlib.util.find_spec("espeakng_loader") is None:
        raise PumiceError(
            "speech synthesis needs the package espeakng-loader; install it with: pip install 'pumice[synthesis]'"
        )
    import espeakng_loader

    request = {**asdict(utterance), "library": espeakng_loader.get_library_path()}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(SCRIPT)],
            input=json.dumps(request).encode(),
            capture_output=True,
            cwd=Path(espeakng_loader.get_data_path()).parent,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PumiceError(f"espeak-ng did not finish {utterance} within {TIMEOUT_S} s; try again") from None
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise PumiceError(
            f"espeak-ng failed on {utterance}: {reason[-1] if reason else f'exit code {done.returncode}'}"
        )
    sample_rate = int.from_bytes(done.stdout[:4], "little")
    samples = np.frombuffer(done.stdout, dtype="<i2", offset=4).astype(np.float64)
    return sample_rate, trim(samples, sample_rate) * (utterance.volume / 100)


def trim(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut silence off both ends of (n,) samples and scale the peak to 1; ``sample_rate`` in Hz.

    Raises:
        PumiceError: there is nothing but silence.
    """
    magnitude = np.abs(samples)
    peak = magnitude.max(initial=0.0)
    if peak == 0.0:
        raise PumiceError("an utterance is silent; choose another voice or text")
    (loud,) = np.nonzero(magnitude > SILENCE * peak)
    margin = round(MARGIN_S * sample_rate)
    return samples[max(loud[0] - margin, 0) : loud[-1] + 1 + margin] / peak
