"""Energy estimates from operation counts and published constants; docs/energy.md says what they are worth."""

from .estimate import Energy, NodeEnergy, energy
from .profile import Constant, EnergyProfile, MemoryLevel, Range, load_profile
from .table import print_energy

__all__ = [
    "Constant",
    "Energy",
    "EnergyProfile",
    "MemoryLevel",
    "NodeEnergy",
    "Range",
    "energy",
    "load_profile",
    "print_energy",
]
