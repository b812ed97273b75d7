"""Event-by-event execution of the integer program, operation counts, energy."""
