"""A program as C99 for microcontrollers: one .c and one .h, static memory, no dependencies."""

from .backend import CBackend
from .compiler import find_compiler
from .generated import Generated
from .known import made_samples
from .source import sources
from .write import write_c

__all__ = ["CBackend", "Generated", "find_compiler", "made_samples", "sources", "write_c"]
