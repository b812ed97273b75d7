"""A program as a Lava network: a bundle folder, and the driver that runs it in an interpreter of its own."""

from .backend import run_lava
from .bundle import write_bundle
from .driver import run_bundle
from .environment import LavaUnavailable, ensure_environment
from .runtime.parts import PARTS

__all__ = ["PARTS", "LavaUnavailable", "ensure_environment", "run_bundle", "run_lava", "write_bundle"]
