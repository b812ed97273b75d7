"""Adaptive leaky integrate-and-fire networks (Baronig et al. 2024, arXiv 2408.07517)."""
