"""Recurrences of float models: a compiled kernel and a torch path behind one function each."""
