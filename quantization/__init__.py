"""Fake quantization with brevitas, calibration, and lowering to the integer program."""
