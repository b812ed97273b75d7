"""Texts as sequences of tokens."""
