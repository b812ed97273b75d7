"""A program as an ONNX model of integer operators: one event at a time, or whole samples."""

from .backend import open_session, run_onnx
from .feed import feed
from .sequence import build_sequence
from .step import build_step

__all__ = ["build_sequence", "build_step", "feed", "open_session", "run_onnx"]
