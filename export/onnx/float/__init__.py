"""The float models as ONNX, for runtimes that take floats."""
