"""QONNX's models in runtimes that do not know its operators."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, parser

from .dialects import DOMAIN

QUANT = f"""
<domain: "{DOMAIN}", opset_import: ["": 16]>
Quant <signed, narrow> (x, scale, zero, bits) => (y) {{
    one = Constant <value_float: float = 1.0> ()
    two = Constant <value_float: float = 2.0> ()
    signed_int = Constant <value_int: int = @signed> ()
    narrow_int = Constant <value_int: int = @narrow> ()
    signs = Cast <to: int = 1> (signed_int)
    left_out = Cast <to: int = 1> (narrow_int)
    magnitude_bits = Sub (bits, signs)
    count = Pow (two, magnitude_bits)
    high = Sub (count, one)
    lowest = Sub (left_out, count)
    low = Mul (lowest, signs)
    scaled = Div (x, scale)
    moved = Add (scaled, zero)
    below = Min (moved, high)
    inside = Max (below, low)
    rounded = Round (inside)
    back = Sub (rounded, zero)
    y = Mul (back, scale)
}}
"""
"""QONNX's Quant with rounding mode ROUND, as QONNX says it, in ONNX's own operators (narrow only of signed numbers)."""


_IN_DOUBLES = {
    "value_float: float = 1.0": "value: tensor = double {1.0}",
    "value_float: float = 2.0": "value: tensor = double {2.0}",
    "to: int = 1>": "to: int = 11>",
}


def runnable(model: onnx.ModelProto, doubles: bool = False) -> onnx.ModelProto:
    """A copy that runtimes run without knowing QONNX's operators: what Quant means stands in it as a function.

    With ``doubles`` it computes in float64, which holds every sum of a program.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    if any(entry.domain == DOMAIN for entry in model.opset_import):
        text = QUANT
        for single, double in _IN_DOUBLES.items() if doubles else ():
            text = text.replace(single, double)
        found.functions.append(parser.parse_function(text))
        for node in found.graph.node:
            if node.domain == DOMAIN:
                kept = [attribute for attribute in node.attribute if attribute.name != "rounding_mode"]
                del node.attribute[:]
                node.attribute.extend(kept)
    if doubles:
        del found.graph.value_info[:]
        for tensor in found.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                values = numpy_helper.to_array(tensor).astype(np.float64)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        for value in (*found.graph.input, *found.graph.output):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return found
