"""The integer program: nodes, validation, file format.

Needs numpy and the standard library alone, imports relatively and only within itself, and runs on Python 3.10 with
numpy 1.26 as well, so that a deployment bundle can carry a copy of this folder.
"""

from .errors import ProgramError
from .formats import Format
from .graph import Program
from .storage import digest, load, save
from .transform import replace_readout

__all__ = ["Format", "Program", "ProgramError", "digest", "load", "replace_readout", "save"]
