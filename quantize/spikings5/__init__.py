"""Spiking S5 in quantization."""
