"""The store's pointer and a replica's name in, the gallery that this replica answers from out.

A replica is on trial by a hash of its name and the canary's version, so that it stays where it is as long as the share
does not shrink, and another canary is another draw.
"""

from __future__ import annotations

import hashlib

from index_builder.manifest import LivePointer, ModelPair


def pairs_for(pointer: LivePointer, instance_id: str) -> tuple[ModelPair, ...]:
    """What a replica wants to answer from, first, and what it may start with where that does not open."""
    if pointer.canary is not None and in_share(instance_id, pointer.canary.gallery, pointer.canary_share):
        return pointer.canary, pointer.live
    return (pointer.live,)


def in_share(instance_id: str, version: str, share: float) -> bool:
    """Whether a replica is in the share (0 to 1) of them that tries a gallery."""
    digest = hashlib.sha256(f"{instance_id}\0{version}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
