"""What sends the load and what answers it in the benchmarks that compare."""
