"""HTTP only: a running service in, a report of latency and errors out."""
