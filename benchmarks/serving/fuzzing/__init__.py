"""Requests that no honest client sends, by a seed, and what the service must answer to each."""
