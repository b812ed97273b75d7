"""A network of Loihi's own neurons as lava-dl's netx reads it: a .net file (HDF5)."""

from .program import program_of
from .read import read_net
from .write import write_net

__all__ = ["program_of", "read_net", "write_net"]
