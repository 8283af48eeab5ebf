"""Galleries of any size made of real vectors, for benchmarks of search at scale."""
