"""Event data sets, transforms and batches."""
