"""Float models: torch only; they know nothing of data, training or quantization."""
