"""Benchmarks: scripts that print tables and write benchmarks/results; `make bench-NAME` runs one of them."""
