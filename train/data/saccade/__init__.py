"""The embedded two-dimensional set: handwritten digits under saccades before a camera of events."""
