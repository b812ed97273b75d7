"""Nodes of Pumice's own namespace in NIR files: what NIR has no node for, named so that plain readers refuse it."""

from .layout import NAMESPACE, NAMESPACES
from .read import is_own, read_own
from .write import needs_own, write_own

__all__ = ["NAMESPACE", "NAMESPACES", "is_own", "needs_own", "read_own", "write_own"]
