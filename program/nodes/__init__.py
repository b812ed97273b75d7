"""The node types of a program, one small file a family."""

from .base import GAP, QUERY, REGISTRY, TOTAL, VALUE, WEIGHT, Node
from .channels import ChannelSSM
from .cuba import CubaLIF
from .driven import DrivenLIF
from .facts import HIDDEN, OUTPUT, TRACED, State, Tensor
from .inputs import GAP_FORMAT, DenseInput, GapInput, TokenInput, ValueInput
from .integrator import LeakyIntegrator
from .layer import SPIKES, NeuronLayer
from .linear import Embedding, Linear
from .loihi import LoihiLIF
from .neurons import LIF, AdaptiveLIF, Neurons
from .norm import BatchNorm, LayerNorm
from .pointwise import Add, Lookup, Multiply
from .pool import EventPool
from .readout import Readout
from .ssm import DiagonalSSM

__all__ = [
    "GAP",
    "GAP_FORMAT",
    "HIDDEN",
    "LIF",
    "OUTPUT",
    "QUERY",
    "REGISTRY",
    "SPIKES",
    "TOTAL",
    "TRACED",
    "VALUE",
    "WEIGHT",
    "AdaptiveLIF",
    "Add",
    "BatchNorm",
    "ChannelSSM",
    "CubaLIF",
    "DenseInput",
    "DiagonalSSM",
    "DrivenLIF",
    "Embedding",
    "EventPool",
    "GapInput",
    "LayerNorm",
    "LeakyIntegrator",
    "Linear",
    "LoihiLIF",
    "Lookup",
    "Multiply",
    "NeuronLayer",
    "Neurons",
    "Node",
    "Readout",
    "State",
    "Tensor",
    "TokenInput",
    "ValueInput",
]
