"""Surrogate dynamic networks (SDN, Shen et al. 2024): a spiking neuron's membrane for all steps at once, in training.

`shipped_sdn` and `load_sdn` give a `SurrogateDynamicNetwork`, which maps the drive over the threshold (..., L) to the
membrane, without gradient; `lif_membrane` is the exact neuron. `pumice sdn` trains further ones (docs/sdn.md).
"""

from .lif import lif_membrane
from .loading import load_sdn, read_sdn, shipped_path, shipped_sdn
from .network import SurrogateDynamicNetwork, published_tensors

__all__ = [
    "SurrogateDynamicNetwork",
    "lif_membrane",
    "load_sdn",
    "published_tensors",
    "read_sdn",
    "shipped_path",
    "shipped_sdn",
]
