"""Batches of event recordings: tokens and the intervals between them."""
