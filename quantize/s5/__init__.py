"""QAT models of S5 networks, from calibration to lowering."""
