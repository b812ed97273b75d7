"""Recurrences with quantized states: a compiled kernel and a torch path behind one function each."""

from .integrator import IntegratorTrace, quantized_integrator_scan
from .neuron_loop import NeuronCodes
from .neurons import QuantizedTrace, quantized_neuron_scan
from .ssm import DecayTable, SSMTrace, quantized_scan

__all__ = [
    "DecayTable",
    "IntegratorTrace",
    "NeuronCodes",
    "QuantizedTrace",
    "SSMTrace",
    "quantized_integrator_scan",
    "quantized_neuron_scan",
    "quantized_scan",
]
