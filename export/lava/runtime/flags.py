"""What travels with every event besides its value."""

VALID = 1
"""The event exists at the sender's rate; without it a receiver changes nothing."""

RESET = 2
"""A new sample starts: states return to zero before the event, if any, is taken."""
