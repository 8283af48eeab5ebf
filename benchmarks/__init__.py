"""All rooms in, tables of speed and retrieval quality out, under `benchmarks/results/`."""
