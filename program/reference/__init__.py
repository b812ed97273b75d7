"""The executable form of the program's arithmetic, the oracle of every backend."""

from .interpreter import run

__all__ = ["run"]
