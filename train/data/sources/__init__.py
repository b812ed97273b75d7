"""Readers of event data sets."""
