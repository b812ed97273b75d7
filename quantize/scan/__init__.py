"""The diagonal recurrence with quantized states: compiled kernel and torch path behind one function."""

from .quantized import DecayTable, ScanCounts, quantized_scan

__all__ = ["DecayTable", "ScanCounts", "quantized_scan"]
