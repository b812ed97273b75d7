"""From a program to the records, constants and buffers of the compiled machine, one file a kind of node."""
