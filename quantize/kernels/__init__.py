"""Compiled operations of quantized networks, a pass over memory each, on the CPU."""
