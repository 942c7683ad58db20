"""Builders, executors and servers that tests and benchmarks share."""
