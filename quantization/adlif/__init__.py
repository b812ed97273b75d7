"""The quantization-aware twin of adaptive LIF networks, from calibration to lowering."""
