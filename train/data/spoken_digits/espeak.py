"""Speak one utterance with espeak-ng and write its samples to standard output.

This file is run as a script, one fresh process per utterance: espeak-ng keeps state between utterances, so only a
fresh process with a seeded generator gives the same samples every time. It needs the standard library alone.

Standard input: JSON with ``library`` (path of the shared library), ``text``, ``voice``, ``rate`` (words per minute),
``pitch``, ``range`` (0..99) and ``seed``. The folder ``espeak-ng-data`` has to be in the working
directory: espeak-ng cuts long data paths off.
Standard output: the sample rate in Hz as little-endian int32, then the samples as little-endian int16.
"""

import ctypes
import json
import sys
from typing import Any

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback before espeak_Synth returns
DO_NOT_EXIT = 1 << 15  # espeakINITIALIZE_DONT_EXIT: report missing data instead of ending the process
UTF8 = 1
PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}


def speak(request: dict[str, Any]) -> tuple[int, bytes]:
    """Return (sample rate in Hz, samples as native int16 bytes) of one utterance."""
    library = ctypes.CDLL(request["library"])
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_SetSynthCallback.argtypes = [callback_type]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]

    sample_rate = library.espeak_Initialize(SYNCHRONOUS, 0, b".", DO_NOT_EXIT)
    if sample_rate <= 0:
        sys.exit("espeak-ng found no usable espeak-ng-data")
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        sys.exit(f"espeak-ng has no voice {request['voice']}")
    for name, code in PARAMETERS.items():
        if library.espeak_SetParameter(code, request[name], 0) != 0:
            sys.exit(f"espeak-ng refused {name} = {request[name]}")
    if library.espeak_ng_SetRandSeed(request["seed"]) != 0:
        sys.exit("espeak-ng refused the seed")

    pieces: list[bytes] = []

    def collect(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = callback_type(collect)  # keep a reference while espeak-ng holds the pointer
    library.espeak_SetSynthCallback(callback)
    text = request["text"].encode()
    if library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None) != 0:
        sys.exit(f"espeak-ng could not speak {request['text']}")
    library.espeak_Synchronize()
    return sample_rate, b"".join(pieces)


def main() -> None:
    """Read the request, speak, write the samples."""
    sample_rate, samples = speak(json.load(sys.stdin))
    if sys.byteorder == "big":
        swapped = bytearray(samples)
        swapped[0::2], swapped[1::2] = samples[1::2], samples[0::2]
        samples = bytes(swapped)
    sys.stdout.buffer.write(sample_rate.to_bytes(4, "little") + samples)


if __name__ == "__main__":
    main()
