"""Compiled kernels of the scans, and the threads that run them."""
