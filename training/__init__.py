"""Catalog in, checkpoints and word vectors in `runs/` out. The only room, with `export`, that needs torch."""
