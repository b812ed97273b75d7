"""Random programs: every node, format and rate, for tests of backends and for measuring them."""
