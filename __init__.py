"""Pumice: event-driven state-space and spiking models as one integer program, bit-exact in every backend.

This file imports nothing, so that ``pumice.program`` and ``pumice.hw_sim`` load without torch.
"""

__version__ = "0.1.0"
