"""A model repository in, NVIDIA's real Triton server answering for it on this machine out; no container needed."""

from export.local_triton.server import LocalTriton, LocalTritonError

__all__ = ["LocalTriton", "LocalTritonError"]
