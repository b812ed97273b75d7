"""Kernels of the simulator: what a faster tier has to provide is what ``plain.py`` defines."""
