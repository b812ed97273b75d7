"""The linear recurrence behind every state-space layer: reference, numba kernel, torch path."""
