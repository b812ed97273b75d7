"""Event data, the training loop and evaluation."""
