"""The node types of a program, one small file a family."""

from .base import QUERY, REGISTRY, Node
from .inputs import GAP_FORMAT, INPUT_NODES, DenseInput, GapInput, TokenInput
from .linear import Embedding, Linear
from .loihi import LoihiLIF
from .neurons import LIF, SPIKES, AdaptiveLIF, LeakyIntegrator, Neurons
from .norm import BatchNorm, LayerNorm
from .pointwise import Add, Lookup, Multiply
from .pool import EventPool
from .readout import Readout
from .ssm import DiagonalSSM

__all__ = [
    "GAP_FORMAT",
    "INPUT_NODES",
    "LIF",
    "QUERY",
    "REGISTRY",
    "SPIKES",
    "AdaptiveLIF",
    "Add",
    "BatchNorm",
    "DenseInput",
    "DiagonalSSM",
    "Embedding",
    "EventPool",
    "GapInput",
    "LayerNorm",
    "LeakyIntegrator",
    "Linear",
    "LoihiLIF",
    "Lookup",
    "Multiply",
    "Neurons",
    "Node",
    "Readout",
    "TokenInput",
]
