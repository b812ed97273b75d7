"""A program as C99 for microcontrollers: one .c and one .h, static memory, no dependencies."""

from .backend import CBackend
from .compiler import find_compiler
from .cross import check_target, section_bytes
from .generated import Generated
from .known import made_samples
from .names import check_name
from .source import sources
from .trial import run_known
from .write import write_c

__all__ = [
    "CBackend",
    "Generated",
    "check_name",
    "check_target",
    "find_compiler",
    "made_samples",
    "run_known",
    "section_bytes",
    "sources",
    "write_c",
]
