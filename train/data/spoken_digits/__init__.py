"""The embedded data set ``spoken-digits``: synthetic speech as spikes, in the file layout of SHD.

Twenty classes (English zero to nine, German null to neun) on 700 channels, spoken by espeak-ng, test voices disjoint
from training voices. It is a synthetic set: no accuracy on it is an SHD accuracy.
"""

from .archive import load, path
from .layout import SpikeData
from .voices import CLASSES

__all__ = ["CLASSES", "SpikeData", "load", "path"]
