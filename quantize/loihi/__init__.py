"""Networks of LIF neurons trained against Loihi's own arithmetic, from calibration to lowering."""
