"""Augmentations of event arrays: pure functions and thin transforms that take an explicit random generator.

tonic's transforms draw from numpy's global generator, which a resumed or parallel run cannot reproduce.
"""
