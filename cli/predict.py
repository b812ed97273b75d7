"""The verb ``predict``: what a model says of recordings, a line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..api.predict import Prediction, predict
from ..errors import PumiceError
from .words import Words

KEYS = ("program", "run_dir", "backend", "format", "top", "unit", "threads")
FORMATS = ("text", "json")
TOP = 3
"""Classes that a line of text tells the scores of."""


def run(arguments: Sequence[str]) -> None:
    """``pumice predict run_dir=FOLDER FILE...``: print class, scores and latency of each recording.

    Raises:
        PumiceError: wrong settings, or a file that is no recording; what came before it has been printed.
    """
    settings = [argument for argument in arguments if argument.partition("=")[0] in KEYS and "=" in argument]
    files = [Path(argument) for argument in arguments if argument not in settings]
    words = Words(settings, KEYS, "predict")
    named = [key for key in ("program", "run_dir") if key in words.given]
    if len(named) != 1:
        raise PumiceError(f"{' and '.join(named) or 'no model'} given; name one by program=FILE or run_dir=FOLDER")
    if not files:
        raise PumiceError("no recordings are given; name files of events or sound behind the settings")
    told = words.text("format", "text")
    if told not in FORMATS:
        raise PumiceError(f"format={told} is unknown; choose one of {', '.join(FORMATS)}")
    most = words.number("top") or TOP
    found = predict(
        words.needed_path(named[0]),
        files,
        backend=words.text("backend", "integer"),
        unit=words.given.get("unit"),
        threads=words.number("threads"),
    )
    for prediction in found:
        print(as_json(prediction) if told == "json" else as_text(prediction, most), flush=True)


def as_text(found: Prediction, most: int) -> str:
    """One line for people: the class, the best scores, how much was read, and how long it took."""
    best = np.argsort(-found.scores, kind="stable")[:most]
    scores = ", ".join(f"{found.class_names[index]} {found.scores[index]:.3f}" for index in best)
    read = f"{found.events:,} events, {found.duration_us / 1e6:.3f} s"
    return f"{found.name}: {found.class_name}  ({scores})  {read}, computed in {found.seconds * 1e3:.2f} ms"


def as_json(found: Prediction) -> str:
    """One line for programs."""
    told = {"file": found.name, "class": found.class_name, "index": found.index, "margin": found.margin}
    told["scores"] = dict(zip(found.class_names, found.scores.tolist(), strict=True))
    told |= {"events": found.events, "duration_us": found.duration_us}
    return json.dumps({**told, "latency_ms": round(found.seconds * 1e3, 3)}, ensure_ascii=False)
