"""Catalog and networks in, the rows of a gallery out: table, thumbnails, reference photos and unit vectors, on disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.errors import MalformedError, OutOfRangeError
from catalog.pictures import PictureLimits
from catalog.rows import BadRow
from catalog.terminal import progress
from export.networks import PhotoNetworks
from export.words import WordModel
from index_builder.fusion import center_texts, check_weight, text_factor, unit
from index_builder.gallery import VECTORS_FILE
from index_builder.manifest import ImageVector, LabelSettings, LabelSource, ReferencePhoto, TextVector, UnknownLabel
from index_builder.pictures import BadRowLimit, CatalogPicture, Embedded, embed, read_pictures
from index_builder.product_table import TableWriter
from index_builder.recipes import Budget
from index_builder.search import Parts
from index_builder.texts import TextOptions, TextParts, text_parts
from index_builder.views import check_views

REFERENCES = 4
UNIT_BLOCK = 65_536


@dataclass(frozen=True)
class BuildSettings:
    """What kind of gallery to build. Raises `OutOfRangeError` for values that no gallery can have."""

    image_vector: ImageVector
    text: TextOptions
    default_weight: float
    recipe: str
    max_bad_rows: float
    min_recall: float
    seed: int
    limits: PictureLimits = field(default_factory=PictureLimits)
    label: LabelSettings = field(default_factory=LabelSettings)
    views: int = 1
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if self.text.kind is TextVector.NONE:
            check_weight(self.default_weight)
        else:
            text_factor(self.default_weight)
        _check_text(self.text)
        check_views(self.views)
        for name in ("max_bad_rows", "min_recall"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise OutOfRangeError(f"{name} is {value}, expected a share from 0 to 1")

    @property
    def stored_weight(self) -> float:
        """The default weight of the gallery: 0 without text, where no weight changes the order."""
        return 0.0 if self.text.kind is TextVector.NONE else self.default_weight

    @property
    def labeled(self) -> bool:
        """Whether the classifier labels the gallery's pictures."""
        return self.text.label_source is LabelSource.CLASSIFIER


@dataclass(frozen=True)
class BuiltRows:
    """What the catalog became. `read` counts all pictures and bad rows, `rejected` are those without a gallery row."""

    parts: Parts
    texts: TextParts
    references: list[ReferencePhoto]
    rejected: list[BadRow]
    read: int


class RowBuilder:
    """Makes the rows of one gallery in a staging folder."""

    def __init__(self, folder: Path, catalog: Path, networks: PhotoNetworks, settings: BuildSettings) -> None:
        self._folder = folder
        self._catalog = catalog
        self._networks = networks
        self._settings = settings
        self._numbers: list[int] = []
        self._has_text: list[bool] = []
        self._references: list[ReferencePhoto] = []
        self._rejected: list[BadRow] = []
        self._surest = 0.0  # of the classifier's best labels

    def run(self, words: WordModel | None, *, splits: Collection[str] | None) -> BuiltRows:
        """Read the catalog, run the networks over every picture, and write what came out; errors as `build_gallery`."""
        settings, info = self._settings, self._networks.info
        limit = BadRowLimit(self._catalog, settings.max_bad_rows)
        pictures, self._rejected = read_pictures(self._catalog, splits=splits)
        read = len(pictures) + len(self._rejected)
        limit.check(self._rejected, total=read)
        if not pictures:
            asked = f" of split {', '.join(sorted(splits))}" if splits else ""
            raise MalformedError(f"{self._catalog} has no usable row{asked}")
        products = {picture.number: picture.product for picture in pictures}
        texts = text_parts(settings.text, words, labels=info.labels, products=products.values())
        image_dim = info.pooled_dim if settings.image_vector is ImageVector.POOLED else info.embedding_dim
        vectors = self._embed(pictures, texts, image_dim=image_dim, limit=limit, read=read)
        if settings.text.centered:
            texts = texts.centered_on(self._center(vectors[:, image_dim:]))
        np.save(self._folder / VECTORS_FILE, vectors, allow_pickle=False)
        numbers, has_text = np.array(self._numbers, np.int64), np.array(self._has_text)
        parts = Parts(vectors, image_dim, has_text=has_text, products=numbers)
        return BuiltRows(parts, texts, self._references, self._rejected, read)

    def _embed(
        self,
        pictures: Sequence[CatalogPicture],
        texts: TextParts,
        *,
        image_dim: int,
        limit: BadRowLimit,
        read: int,
    ) -> NDArray[np.float32]:
        """Return the unit parts [N, D_I + D_T] of all usable pictures, in order."""
        vectors = np.zeros((len(pictures), image_dim + texts.dim), np.float32)
        stream = embed(
            pictures,
            self._networks,
            base=self._catalog.parent,
            image_vector=self._settings.image_vector,
            limits=self._settings.limits,
            views=self._settings.views,
            labeled=self._settings.labeled,
        )
        with TableWriter(self._folder) as table:
            for done, one in enumerate(progress(stream, description="pictures", total=len(pictures))):
                if isinstance(one, BadRow):
                    self._rejected.append(one)
                    limit.check(self._rejected, total=read)
                    continue
                text = texts.of(one.source.product, predicted=self._predicted(one))
                row = vectors[len(self._numbers)]
                row[:image_dim] = one.vector
                if text is not None:
                    row[image_dim:] = text
                self._add(table, one, has_text=text is not None, share_done=done / len(pictures))
        if not self._numbers:
            raise MalformedError(f"{self._catalog} has no usable picture; first: {self._rejected[0].reason}")
        if texts.dim and not any(self._has_text):
            raise MalformedError(self._no_text(texts.kind))
        return _unit_images(vectors[: len(self._numbers)], image_dim)

    def _predicted(self, one: Embedded) -> str | None:
        """The classifier's label of a picture; None where it is not asked, or abstains as it would for a query."""
        if one.probabilities is None:
            return None
        best = float(one.probabilities.max())
        self._surest = max(self._surest, best)
        if best < self._settings.label.min_confidence:
            return None
        return self._networks.info.labels[int(one.probabilities.argmax())]

    def _no_text(self, kind: TextVector) -> str:
        least = self._settings.label.min_confidence
        if self._settings.labeled and self._surest < least:
            return (
                f"the classifier labels no row of {self._catalog}: its surest label has the probability "
                f"{self._surest:.3g}, --min-confidence is {least:g}; lower that or use --text none"
            )
        return f"no row of {self._catalog} has usable text for '{kind}'; use --text none"

    def _center(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Center the text parts [N, D_T] in place; return their center, the mean of those there are."""
        usable = np.array(self._has_text)
        center: NDArray[np.float32] = texts[usable].mean(axis=0, dtype=np.float64).astype(np.float32)
        for start in range(0, len(texts), UNIT_BLOCK):
            block = texts[start : start + UNIT_BLOCK]
            block[:] = center_texts(block, center)
        if not texts.any():
            raise MalformedError(f"all texts of {self._catalog} are alike, so centering leaves nothing of them")
        return center

    def _add(self, table: TableWriter, one: Embedded, *, has_text: bool, share_done: float) -> None:
        source = one.source
        if len(self._references) < REFERENCES and share_done * REFERENCES >= len(self._references):
            self._references.append(_write_reference(self._folder, one, row=len(self._numbers)))
        table.add(source.product, number=source.number, image=source.image, has_text=has_text, picture=one.thumbnail)
        self._numbers.append(source.number)
        self._has_text.append(has_text)


def _check_text(text: TextOptions) -> None:
    if text.kind is TextVector.NONE and (text.centered or text.label_source is LabelSource.CLASSIFIER):
        asked = "centered text" if text.centered else f"labels from the {text.label_source}"
        raise OutOfRangeError(
            f"{asked} needs a text part; choose --text {TextVector.WORDVECTOR} or {TextVector.ONEHOT}"
        )
    if text.unknown is UnknownLabel.DELTA0 and text.kind is not TextVector.ONEHOT:
        raise OutOfRangeError(
            f"the unknown label {text.unknown} is a component of one-hot text parts; choose --text {TextVector.ONEHOT}"
        )


def _unit_images(vectors: NDArray[np.float32], image_dim: int) -> NDArray[np.float32]:
    """Normalize the image parts in place, in blocks (networks do so up to rounding); text parts are unit already."""
    for start in range(0, len(vectors), UNIT_BLOCK):
        block = vectors[start : start + UNIT_BLOCK, :image_dim]
        block[:] = unit(block)
    return vectors


def _write_reference(folder: Path, one: Embedded, *, row: int) -> ReferencePhoto:
    """Keep a network input as it was, without loss, so that its vector can be made again anywhere."""
    name = f"references/{row}.png"
    (folder / name).parent.mkdir(exist_ok=True)
    Image.fromarray(one.pixels).save(folder / name)
    product_id = one.source.product.product_id
    return ReferencePhoto(row=row, product_id=product_id, image=name, image_vector=one.plain.tolist())
