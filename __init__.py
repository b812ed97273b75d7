"""Pumice: event-driven state-space and spiking models as one integer program, bit-exact in every backend.

The names below do the main job for every model family (docs/python.md). Each is imported when it is first asked for:
``import pumice`` loads nothing by itself, and ``pumice.program`` and ``pumice.hw_sim`` work without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.arrays import make_data as make_data
    from .api.batches import make_batches as make_batches
    from .api.chips import check as check
    from .api.compare import compare as compare
    from .api.count import count as count
    from .api.data import load_data as load_data
    from .api.export import export_c as export_c
    from .api.export import export_lava as export_lava
    from .api.export import export_netx as export_netx
    from .api.export import export_onnx as export_onnx
    from .api.export import export_qonnx as export_qonnx
    from .api.models import build_model as build_model
    from .api.models import import_nir as import_nir
    from .api.models import load_model as load_model
    from .api.nir import export_nir as export_nir
    from .api.predict import predict as predict
    from .api.programs import load as load
    from .api.programs import save as save
    from .api.programs import simulate as simulate
    from .api.quantize import quantize as quantize
    from .api.runs import open_run as open_run
    from .api.streaming.front import stream as stream
    from .errors import PumiceError as PumiceError
    from .hw_sim.simulator.simulator import Simulator as Simulator
    from .quantize.config import QuantizationConfig as QuantizationConfig
    from .version import __version__ as __version__

_WHERE = {
    "__version__": "version",
    "build_model": "api.models",
    "check": "api.chips",
    "compare": "api.compare",
    "count": "api.count",
    "export_c": "api.export",
    "export_lava": "api.export",
    "export_netx": "api.export",
    "export_nir": "api.nir",
    "export_onnx": "api.export",
    "export_qonnx": "api.export",
    "import_nir": "api.models",
    "load": "api.programs",
    "load_data": "api.data",
    "load_model": "api.models",
    "make_batches": "api.batches",
    "make_data": "api.arrays",
    "open_run": "api.runs",
    "predict": "api.predict",
    "PumiceError": "errors",
    "quantize": "api.quantize",
    "QuantizationConfig": "quantize.config",
    "save": "api.programs",
    "simulate": "api.programs",
    "stream": "api.streaming.front",
    "Simulator": "hw_sim.simulator.simulator",
}
"""The module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "quantize":  # a room that is callable: both `pumice.quantize(...)` and `pumice.quantize.config` work
        return import_module(".quantize", __name__)
    found = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
