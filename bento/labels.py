"""Label probabilities or a shopper's words in, the text part of the query out (DESIGN section 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from index_builder.gallery_reader import GalleryReader
from index_builder.manifest import LabelMode

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class TextPart:
    """`vector` [D_T], at most 1 long, None without usable text; `said` is what it was made of.

    `abstained`: the classifier was asked and is not sure enough of any label.
    """

    vector: Vector | None
    said: str | None
    abstained: bool = False


def of_probabilities(gallery: GalleryReader, probabilities: Vector, mode: LabelMode) -> TextPart:
    """The predicted labels as a text part.

    `hard`: the unit vector of the most probable label. `soft`: sum over labels (or the gallery's `label.top` best) of
    p_l times the unit vector of l, not normalized again, so that its cosine with a row is the expected one. `none`: no
    text part. Below the gallery's `label.min_confidence` there is none either, or the gallery's unknown label.
    """
    labels, settings = gallery.labels, gallery.manifest.label
    if mode is LabelMode.NONE or not labels.vectors.size:
        return TextPart(None, None)
    order = np.argsort(-probabilities, kind="stable")
    if float(probabilities[order[0]]) < settings.min_confidence:
        return TextPart(gallery.unknown_label, None, abstained=True)
    best = labels.labels[int(order[0])]
    if mode is LabelMode.SOFT:
        used = order[: settings.top]
        return TextPart((probabilities[used] @ labels.vectors[used]).astype(np.float32), best)
    return TextPart(labels.of(best), best)


def of_category(gallery: GalleryReader, category: str, *, paths: Iterable[str]) -> TextPart:
    """A shopper's own category as a text part: a label, one of the category `paths` or its beginning, or free words.

    Raises OutOfRangeError when the gallery has no text, or knows labels only and this is none.
    """
    if not gallery.manifest.text_dim:
        raise OutOfRangeError("this gallery was built without text, so category cannot be used")
    label = _known(category, gallery.labels.labels)
    if label is not None:
        return TextPart(gallery.labels.of(label), label)
    if gallery.words is None:
        known = ", ".join(gallery.labels.labels[:10])
        raise OutOfRangeError(f"category {category!r} is not one of this gallery's labels ({known}, ...)")
    path = _known_path(category, paths)
    vector = gallery.text_part(path or category)
    return TextPart(vector, None if vector is None else path or category)


def _known(category: str, labels: tuple[str, ...]) -> str | None:
    wanted = category.strip().casefold()
    return next((label for label in labels if label.casefold() == wanted), None)


def _known_path(category: str, paths: Iterable[str]) -> str | None:
    """The category path that `category` is or begins, level by level."""
    wanted = _levels(category)
    for path in paths:
        levels = [level.strip() for level in path.split(">")]
        if [level.casefold() for level in levels[: len(wanted)]] == wanted:
            return " > ".join(levels[: len(wanted)])
    return None


def _levels(path: str) -> list[str]:
    return [level.strip().casefold() for level in path.split(">")]
