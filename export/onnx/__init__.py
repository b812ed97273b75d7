"""A program as an exact ONNX model: one event at a time, or whole samples."""

from .backend import run_onnx
from .feed import feed
from .sequence import build_sequence
from .session import open_session
from .step import build_step

__all__ = ["build_sequence", "build_step", "feed", "open_session", "run_onnx"]
