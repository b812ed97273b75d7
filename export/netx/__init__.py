"""A network of Loihi's own neurons as lava-dl's netx reads it: a .net file (HDF5)."""

from .read import read_net
from .write import write_net

__all__ = ["read_net", "write_net"]
