"""The fake-quantized twin of a float model: fine-tuning, freezing, exact integers in float64."""
