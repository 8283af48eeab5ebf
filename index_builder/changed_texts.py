"""A changed picture of a product in, its text part out: made with the gallery's own words, as its build would have."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.texts import sentence
from export.words import LabelVectors, WordModel
from index_builder.batch import ChangedPicture, Upsert
from index_builder.fusion import unit
from index_builder.manifest import LabelSource, Manifest, TextVector

Vector = NDArray[np.float32]


class TextSource(Protocol):
    """What of a gallery text parts are made with; see `Gallery`."""

    @property
    def manifest(self) -> Manifest:
        """Its settings."""

    @property
    def words(self) -> WordModel | None:
        """Its word vectors."""

    @property
    def labels(self) -> LabelVectors:
        """The text vectors of its labels, as its rows have them."""

    @property
    def unknown_label(self) -> Vector | None:
        """The text part of an unknown label."""

    def centered(self, text: Vector) -> Vector | None:
        """Return a unit text as its rows have it."""


def changed_text(gallery: TextSource, upsert: Upsert, picture: ChangedPicture) -> tuple[Vector, bool]:
    """Return the text part [D_T] of a picture, zeros where there is none, and whether it has text."""
    manifest, product = gallery.manifest, upsert.product
    nothing = np.zeros(manifest.text_dim, np.float32)
    if manifest.text_vector is TextVector.NONE:
        return nothing, False
    if manifest.text.label_source is LabelSource.CLASSIFIER or manifest.text_vector is TextVector.ONEHOT:
        vector = _of_label(gallery, _label(manifest, upsert, picture))
        return (nothing, False) if vector is None else (vector, True)
    text = sentence(product.title, product.category_path, ascii_only=manifest.text.ascii_only)
    said = None if gallery.words is None else gallery.words.sentence_vector(text)
    if said is None:
        return nothing, False
    centered = gallery.centered(unit(said[None]).astype(np.float32)[0])
    return (nothing, True) if centered is None else (centered, True)  # text that tells nothing apart is text


def _label(manifest: Manifest, upsert: Upsert, picture: ChangedPicture) -> str | None:
    if manifest.text.label_source is LabelSource.CATALOG:
        return upsert.product.label
    return picture.label if picture.confidence >= manifest.label.min_confidence else None


def _of_label(gallery: TextSource, label: str | None) -> Vector | None:
    if label is None or label not in gallery.labels.labels:
        return gallery.unknown_label
    return gallery.labels.of(label)
