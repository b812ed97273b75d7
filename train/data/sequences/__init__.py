"""Tasks of a regular time step: dense sequences, labelled by sequence or by step, or to be predicted."""
