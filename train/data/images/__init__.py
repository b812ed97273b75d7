"""Images read as sequences of pixels."""
