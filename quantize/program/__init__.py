"""The integer program: nodes, validation, file format. Needs numpy and the standard library alone."""
