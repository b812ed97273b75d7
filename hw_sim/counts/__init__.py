"""Operation counts of programs, from traces of what they did; definitions in docs/op_counts.md."""

from .count import count, count_float
from .neurobench import neurobench
from .records import Counts, NodeCounts, Operations, Traffic
from .table import print_counts

__all__ = ["Counts", "NodeCounts", "Operations", "Traffic", "count", "count_float", "neurobench", "print_counts"]
