"""Galleries and labeled query photos in; figures of retrieval quality out."""
