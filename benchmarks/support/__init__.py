"""What the benchmark scripts share: result files and the metric code of the published benchmarks."""
