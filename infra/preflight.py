"""A release in, the reasons against it out, before any replica starts: what is missing, what does not fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from catalog.errors import NotFoundError
from index_builder.gate import QualityGate
from index_builder.store import ConflictError, Store, open_store
from infra.aws import Clients, cloud_errors
from infra.models import spaces_of
from infra.pieces import Release
from infra.registry import require_image
from infra.settings import GallerySettings


def gallery_store(clients: Clients, uri: str, *, cache: Path | None = None) -> Store:
    """The store of galleries that a release names."""
    return open_store(uri, endpoint_url=clients.endpoint_url, cache=cache)


def gate_of(settings: GallerySettings) -> QualityGate:
    """What a gallery of the profile has to fulfill."""
    return QualityGate(min_recall=settings.min_recall, count_band=settings.count_band)


def require_sound(clients: Clients, release: Release, settings: GallerySettings) -> str:
    """Return the version of the gallery that the release would serve.

    Raises NotFoundError for a missing image, models or live gallery, ConflictError where gallery and models do not
    belong together or the gallery finds less than the profile asks for.
    """
    with cloud_errors():
        require_image(clients("ecr"), release.image_uri)
        spaces = spaces_of(clients("s3"), release.models_uri)
    store = gallery_store(clients, release.store_uri)
    pointer = store.live()
    if pointer is None:
        raise NotFoundError(
            f"no gallery is live in {release.store_uri}; publish one and make it live with index_builder"
        )
    gallery = pointer.live.gallery
    _require_one_space(pointer.live.models, spaces, f"gallery {gallery} of {release.store_uri}")
    failed = list(gate_of(settings).recall_failures(store.manifest(gallery)))
    if failed:
        raise ConflictError(f"gallery {gallery} is not fit to be served: {'; '.join(failed)}")
    return gallery


def _require_one_space(made_in: Mapping[str, str], spaces: Mapping[str, str], gallery: str) -> None:
    for model, space in made_in.items():
        if (found := spaces.get(model)) != space:
            raise ConflictError(
                f"{gallery} was made in space {space} of {model!r}, the models have {found or 'no such network'}; "
                "galleries and models move as a pair"
            )
