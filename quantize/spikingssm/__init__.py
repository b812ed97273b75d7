"""SpikingSSM in quantization."""
