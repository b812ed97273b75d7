"""Compiled kernels of the scans with quantized states."""
