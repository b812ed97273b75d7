"""The float32 yardstick: a float S5Classifier as onnxruntime step graphs, one a rate, run only when they are due.

For token input, layer norm, avgpool, head "pool", async or dirac. Checked against the model's own step().
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.norm import LAYER_NORM_EPSILON


class _Graph:
    """One onnxruntime session under construction."""

    def __init__(self) -> None:
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self.count = 0

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        self.count += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"v{self.count}"], **attributes))
        return f"v{self.count}"

    def constant(self, value) -> str:
        array = value.detach().float().numpy() if isinstance(value, torch.Tensor) else np.float32(value)
        self.count += 1
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), f"v{self.count}"))
        return f"v{self.count}"

    def input(self, name: str, shape: list[int], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value: str, name: str, shape: list[int]) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def session(self) -> onnxruntime.InferenceSession:
        graph = helper.make_graph(self.nodes, "step", self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


class _Segment:
    """Everything at one rate: from the open end of the layer that pools into it to the state of the next that pools."""

    def __init__(self) -> None:
        self.graph = _Graph()
        self.states: dict[str, np.ndarray] = {}
        self.window = 0
        self.phase = 0

    def state(self, name: str, size: int) -> str:
        self.states[name] = np.zeros((1, size), np.float32)
        return self.graph.input(name, [1, size])

    def norm(self, layer, x: str) -> str:
        g = self.graph
        weight, bias = g.constant(layer.norm.weight), g.constant(layer.norm.bias)
        return g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def advance(self, layer, name: str, u: str, dt: str) -> str:
        g, ssm = self.graph, layer.ssm
        modes = len(ssm.Lambda_re)
        rates = ssm.rates()
        size = g.op("Exp", g.op("Mul", dt, g.constant(rates.real[None])))
        angle = g.op("Mul", dt, g.constant(rates.imag[None]))
        a, b = g.op("Mul", size, g.op("Cos", angle)), g.op("Mul", size, g.op("Sin", angle))
        old_re, old_im = self.state(f"{name}.re", modes), self.state(f"{name}.im", modes)
        weight = ssm.input_matrix().T
        v_re, v_im = (g.op("MatMul", u, g.constant(part)) for part in (weight[:, :modes], weight[:, modes:]))
        re = g.op("Add", g.op("Sub", g.op("Mul", a, old_re), g.op("Mul", b, old_im)), v_re)
        im = g.op("Add", g.op("Add", g.op("Mul", a, old_im), g.op("Mul", b, old_re)), v_im)
        g.output(re, f"{name}.re'", [1, modes])
        g.output(im, f"{name}.im'", [1, modes])
        return g.op("Concat", re, im, axis=-1)

    def combine(self, layer, state: str, u: str, x: str) -> str:
        g, ssm = self.graph, layer.ssm
        through = g.constant(ssm.D[None] if ssm.D.dim() == 1 else ssm.D.T)
        fed = g.op("Mul" if ssm.D.dim() == 1 else "MatMul", u, through)
        y = g.op("Add", g.op("MatMul", state, g.constant(ssm.output_matrix().T)), fed)
        gelu = g.op("Gelu", y, approximate="tanh")
        gate = g.op("Gemm", gelu, g.constant(layer.gate.weight.T), g.constant(layer.gate.bias))
        y = g.op("Mul", y, g.op("Sigmoid", gate))
        if layer.skip is not None:
            x = g.op("Gemm", x, g.constant(layer.skip.weight.T), g.constant(layer.skip.bias))
        return g.op("Add", x, y)

    def finish(self) -> None:
        self.session = self.graph.session()
        self.names = [output.name for output in self.graph.outputs]


class FloatStep:
    """``step(token, dt_ms)``: logits after the event. The graphs of pooled rates run when their window closes."""

    def __init__(self, model: S5Classifier) -> None:
        with torch.no_grad():
            self._build(model)

    def _build(self, model: S5Classifier) -> None:
        segment = _Segment()
        g = segment.graph
        token, dt = g.input("token", [1], TensorProto.INT64), g.input("dt", [1, 1])
        x = g.op("Gather", g.constant(model.embedding.weight), token)
        self.segments = [segment]
        width = model.config.d_model
        for i, stage in enumerate(model.stages):
            for j, layer in enumerate(stage.layers):
                u = segment.norm(layer, x)
                state = segment.advance(layer, f"s{i}l{j}", u, dt)
                if layer.pool.stride > 1:
                    modes = len(layer.ssm.Lambda_re)
                    g.output(state, "state", [1, 2 * modes])
                    for name, value in (("u", u), ("x", x)):
                        total = g.op("Add", value, segment.state(f"sum.{name}", width))
                        g.output(total, f"sum.{name}'", [1, width])
                    segment.window = layer.pool.stride
                    segment.finish()
                    segment = _Segment()
                    g = segment.graph
                    self.segments.append(segment)
                    share = g.constant(1 / layer.pool.stride)
                    state, dt = g.input("window.state", [1, 2 * modes]), g.input("dt", [1, 1])
                    u, x = (g.op("Mul", g.input(f"window.{name}", [1, width]), share) for name in "ux")
                width = len(layer.ssm.C)
                x = segment.combine(layer, state, u, x)
        total, count = segment.state("total", width), segment.state("count", 1)
        total, count = g.op("Add", total, x), g.op("Add", count, g.constant([[1.0]]))
        g.output(total, "total'", [1, width])
        g.output(count, "count'", [1, 1])
        weight, bias = g.constant(model.decoder.weight.T), g.constant(model.decoder.bias)
        g.output(g.op("Gemm", g.op("Div", total, count), weight, bias), "logits", [1, model.config.num_classes])
        segment.finish()
        self.logits = model.decoder.bias.detach().numpy()[None]

    def step(self, token: int, dt: float) -> np.ndarray:
        feed: dict[str, np.ndarray] = {"token": np.array([token])}
        for segment in self.segments:
            interval = np.array([[dt]], np.float32)
            out = dict(
                zip(segment.names, segment.session.run(None, {**feed, "dt": interval, **segment.states}), strict=True)
            )
            for name in segment.states:
                segment.states[name] = out[f"{name}'"]
            if not segment.window:
                self.logits = out["logits"]
                break
            if segment.phase == 0:
                segment.latched, segment.elapsed = out["state"], 0.0
            segment.elapsed += dt
            segment.phase += 1
            if segment.phase < segment.window:
                break
            segment.phase = 0
            feed = {"window.state": segment.latched, "window.u": out["sum.u'"], "window.x": out["sum.x'"]}
            dt = segment.elapsed
            for name in ("sum.u", "sum.x"):
                segment.states[name] = np.zeros_like(segment.states[name])
        return self.logits
