"""The verbs ``data build`` and ``data show``."""
