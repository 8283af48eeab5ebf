"""Catalog rows and labels in, their text parts out: word vectors of title and category, one-hot labels, or nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.errors import NotFoundError
from catalog.rows import Product
from catalog.texts import sentence
from export.words import LabelVectors, WordModel, label_vectors
from index_builder.fusion import center_texts, unit
from index_builder.manifest import LabelSource, TextSettings, TextVector, UnknownLabel

LabelPaths = Mapping[str, Counter[str]]


@dataclass(frozen=True)
class TextOptions:
    """What text parts are made of, as asked for by a build."""

    kind: TextVector
    label_source: LabelSource = LabelSource.CATALOG
    unknown: UnknownLabel = UnknownLabel.NOTHING
    centered: bool = False


@dataclass(frozen=True)
class TextParts:
    """Where text parts come from; `labels` is the table of the classifier's labels, [V, D_T].

    `center` [D_T] is there once `centered_on` was called; `labels` are centered then.
    """

    options: TextOptions
    labels: LabelVectors
    words: WordModel | None
    center: NDArray[np.float32] | None = None

    @property
    def kind(self) -> TextVector:
        """What kind of text parts these are."""
        return self.options.kind

    @property
    def dim(self) -> int:
        """D_T, 0 without text."""
        return int(self.labels.vectors.shape[1])

    @property
    def settings(self) -> TextSettings:
        """How texts are treated, for the manifest."""
        made = TextSettings(
            centered=self.options.centered, label_source=self.options.label_source, unknown=self.options.unknown
        )
        if self.words is None:
            return made
        words = self.words.settings
        return made.model_copy(update={"ascii_only": words.ascii_only, "sentence": words.sentence.value})

    def of(self, product: Product, *, predicted: str | None = None) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of a picture, not centered; None when it has no usable text.

        `predicted` is what the classifier says of the picture (None: nothing), asked for by `LabelSource.CLASSIFIER`.
        """
        if self.options.label_source is LabelSource.CLASSIFIER:
            return self._of_label(predicted)
        if self.kind is TextVector.ONEHOT:
            return self._of_label(product.label if product.label in self.labels.labels else None)
        if self.words is None:
            return None
        ascii_only = self.words.settings.ascii_only
        vector = self.words.sentence_vector(sentence(product.title, product.category_path, ascii_only=ascii_only))
        return None if vector is None else unit(vector[None]).astype(np.float32)[0]

    def centered_on(self, center: NDArray[np.float32]) -> TextParts:
        """Return the same with label vectors centered on `center` [D_T]."""
        labels = LabelVectors(self.labels.labels, center_texts(self.labels.vectors, center))
        return replace(self, labels=labels, center=center)

    def _of_label(self, label: str | None) -> NDArray[np.float32] | None:
        if label is not None:
            return self.labels.of(label)
        return unknown_vector(len(self.labels.labels)) if self.options.unknown is UnknownLabel.DELTA0 else None


def text_parts(
    options: TextOptions, words: WordModel | None, *, labels: tuple[str, ...], label_paths: LabelPaths
) -> TextParts:
    """Return the source of text parts for a catalog; `NotFoundError` when word vectors are missing.

    `label_paths` is what the function of that name counts.
    """
    if options.kind is TextVector.NONE:
        return TextParts(options, LabelVectors(labels, np.zeros((len(labels), 0), np.float32)), None)
    if options.kind is TextVector.ONEHOT:
        dim = len(labels) + (options.unknown is UnknownLabel.DELTA0)
        return TextParts(options, LabelVectors(labels, np.eye(len(labels), dim, dtype=np.float32)), None)
    if words is None:
        raise NotFoundError("text vectors 'wordvector' need word vectors: give --words, or --text none or onehot")
    return TextParts(options, label_vectors(words, labels, texts=label_texts(labels, label_paths)), words)


def unknown_vector(labels: int) -> NDArray[np.float32]:
    """Return delta_0 [V + 1]: the last component, behind those of the V labels."""
    vector = np.zeros(labels + 1, np.float32)
    vector[labels] = 1
    return vector


def label_paths(products: Iterable[Product]) -> LabelPaths:
    """Count the category paths of the products that carry each label."""
    paths: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for product in products:
        if product.label and product.category_path:
            paths[product.label][product.category_path] += 1
    return paths


def label_texts(labels: Iterable[str], label_paths: LabelPaths) -> dict[str, str]:
    """Return each label with the most common category path of the products that carry it, or the label alone."""
    common = {label: counts.most_common(1)[0][0] for label, counts in label_paths.items()}
    return {label: f"{label} {common[label]}" if label in common else label for label in labels}
