"""One script per published comparison: ``python -m benchmarks.NAME`` from the root of the repository."""
