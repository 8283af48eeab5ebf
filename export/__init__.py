"""Checkpoint in, `model_repository/` out; ships the light readers of it, which never import torch."""
