"""Event-by-event execution of the integer program by a compiled machine."""

from .simulator import Simulator, run, run_stepwise

__all__ = ["Simulator", "run", "run_stepwise"]
