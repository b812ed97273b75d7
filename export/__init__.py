"""The integer program written for other runtimes."""
