"""The version of Pumice."""

__version__ = "0.1.0"
