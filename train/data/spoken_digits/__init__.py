"""The embedded data set: synthesised spoken digits in the file layout of SHD."""
