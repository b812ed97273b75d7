"""QAT models of adaptive LIF networks, from calibration to lowering."""
