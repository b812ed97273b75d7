"""Surrogate dynamic networks from data to files: generated, trained, reduced, evaluated, imported (docs/sdn.md)."""
