"""A model repository and a gallery in; the same search behind servers of other frameworks, the obvious way, out."""
