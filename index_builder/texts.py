"""Catalog rows and labels in, their text parts out: word vectors of title and category, one-hot labels, or nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.errors import NotFoundError
from catalog.rows import Product
from catalog.texts import sentence
from export.words import LabelVectors, WordModel, label_vectors
from index_builder.fusion import unit
from index_builder.manifest import TextSettings, TextVector


@dataclass(frozen=True)
class TextParts:
    """Where text parts come from; `labels` is the table of the classifier's labels, [V, D_T]."""

    kind: TextVector
    labels: LabelVectors
    words: WordModel | None

    @property
    def dim(self) -> int:
        """D_T, 0 without text."""
        return int(self.labels.vectors.shape[1])

    @property
    def settings(self) -> TextSettings:
        """How texts are treated, for the manifest."""
        if self.words is None:
            return TextSettings()
        return TextSettings(ascii_only=self.words.settings.ascii_only, sentence=self.words.settings.sentence.value)

    def of(self, product: Product) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of a product, None when it has no usable text."""
        if self.kind is TextVector.ONEHOT:
            return self.labels.of(product.label) if product.label in self.labels.labels else None
        if self.words is None:
            return None
        ascii_only = self.words.settings.ascii_only
        vector = self.words.sentence_vector(sentence(product.title, product.category_path, ascii_only=ascii_only))
        return None if vector is None else unit(vector[None]).astype(np.float32)[0]


def text_parts(
    kind: TextVector, words: WordModel | None, *, labels: tuple[str, ...], products: Iterable[Product]
) -> TextParts:
    """Return the source of text parts for a catalog's products; `NotFoundError` when word vectors are missing."""
    if kind is TextVector.NONE:
        return TextParts(kind, LabelVectors(labels, np.zeros((len(labels), 0), np.float32)), None)
    if kind is TextVector.ONEHOT:
        return TextParts(kind, LabelVectors(labels, np.eye(len(labels), dtype=np.float32)), None)
    if words is None:
        raise NotFoundError("text vectors 'wordvector' need word vectors: give --words, or --text none or onehot")
    return TextParts(kind, label_vectors(words, labels, texts=label_texts(labels, products)), words)


def label_texts(labels: Iterable[str], products: Iterable[Product]) -> dict[str, str]:
    """Return each label with the most common category path of the products that carry it, or the label alone."""
    paths: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for product in products:
        if product.label and product.category_path:
            paths[product.label][product.category_path] += 1
    common = {label: counts.most_common(1)[0][0] for label, counts in paths.items()}
    return {label: f"{label} {common[label]}" if label in common else label for label in labels}
