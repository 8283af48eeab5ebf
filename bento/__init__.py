"""One request in, hits out: the BentoML service, its web page and its command line."""
