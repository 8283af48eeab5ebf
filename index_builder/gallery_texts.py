"""A gallery folder in, its side of texts out: label vectors, words, and how free words become a text part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.words import LabelVectors, WordModel, WordsError
from index_builder.errors import GalleryError
from index_builder.fusion import center_texts, unit
from index_builder.manifest import Manifest, TextVector, UnknownLabel
from index_builder.texts import unknown_vector

LABELS_FILE = "labels.npz"
CENTER_FILE = "text_center.npy"
WORDS_FOLDER = "words"


@dataclass(frozen=True)
class GalleryTexts:
    """What a gallery knows of texts. `center` [D_T] is there where it was built with centered texts."""

    manifest: Manifest
    labels: LabelVectors
    words: WordModel | None
    center: NDArray[np.float32] | None

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> GalleryTexts:
        """Read the files of a gallery folder that were found to be whole; `GalleryError` for what does not fit."""
        labels, words = _read_texts(folder, manifest)
        center = _read_center(folder / CENTER_FILE, manifest) if manifest.text.centered else None
        return cls(manifest, labels, words, center)

    @property
    def unknown_label(self) -> NDArray[np.float32] | None:
        """The unit text part [D_T] of a query whose label is unknown; None where that is a query without text."""
        if self.manifest.text.unknown is not UnknownLabel.DELTA0:
            return None
        return self.centered(unknown_vector(len(self.labels.labels)))

    def part(self, text: str) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of free words; None without word vectors or a usable word."""
        vector = None if self.words is None else self.words.sentence_vector(text)
        return None if vector is None else self.centered(unit(vector[None]).astype(np.float32)[0])

    def centered(self, text: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return a unit text [D_T] as the gallery's rows have it, None when nothing is left of it."""
        if self.center is None:
            return text
        centered = center_texts(text[None], self.center)[0]
        return centered if centered.any() else None


def _read_center(path: Path, manifest: Manifest) -> NDArray[np.float32]:
    try:
        center: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise GalleryError(f"{path} cannot be read: {error}") from error
    if center.dtype != np.float32 or center.shape != (manifest.text_dim,):
        raise GalleryError(
            f"{path} is {center.dtype} {list(center.shape)}, the manifest says float32 [{manifest.text_dim}]"
        )
    return center


def _read_texts(folder: Path, manifest: Manifest) -> tuple[LabelVectors, WordModel | None]:
    try:
        labels = LabelVectors.load(folder / LABELS_FILE)
        words = WordModel.load(folder / WORDS_FOLDER) if manifest.text_vector is TextVector.WORDVECTOR else None
    except WordsError as error:
        raise GalleryError(f"gallery {manifest.version}: {error}") from error
    if labels.vectors.shape[1] != manifest.text_dim or list(labels.labels) != manifest.labels:
        raise GalleryError(
            f"gallery {manifest.version}: {LABELS_FILE} has {len(labels.labels)} labels of dim "
            f"{labels.vectors.shape[1]}, the manifest says {len(manifest.labels)} of dim {manifest.text_dim}"
        )
    if words is not None and words.dim != manifest.text_dim:
        raise GalleryError(
            f"gallery {manifest.version}: its word vectors have dim {words.dim}, the manifest says {manifest.text_dim}"
        )
    return labels, words
