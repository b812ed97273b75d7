"""Networks of LIF neurons as NIR files (Pedersen et al. 2024, Neuromorphic Intermediate Representation)."""

from .own import NAMESPACES, needs_own, write_own
from .read import read_model
from .vectors import vectors_path, write_vectors
from .write import write_nir

__all__ = ["NAMESPACES", "needs_own", "read_model", "vectors_path", "write_nir", "write_own", "write_vectors"]
