"""The manifest of a gallery: what it holds, how it was made, and how to tell that it is whole.

`manifest.json` is written last, inside a folder that is then renamed; a folder without one is not a gallery.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ImageVector(StrEnum):
    """Which output of the networks is the image part of a gallery vector."""

    EMBEDDING = "embedding"
    POOLED = "pooled"


class TextVector(StrEnum):
    """What the text part of a gallery vector is made of."""

    NONE = "none"
    ONEHOT = "onehot"
    WORDVECTOR = "wordvector"


class FrozenModel(BaseModel):
    """Immutable, and an unknown field is an error: a manifest of a newer schema is refused, not half understood."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(FrozenModel):
    """One file of the gallery folder."""

    size_bytes: int = Field(ge=0)
    sha256: Sha256


class TextSettings(FrozenModel):
    """How texts became vectors, so that a query's words are treated like the gallery's."""

    ascii_only: bool = False
    sentence: str = Field(default="mean", pattern="^(mean|unit_mean)$")


class IndexRecipe(FrozenModel):
    """FAISS factory string and the search parameters to use with it, by FAISS' own names."""

    factory: str
    search_parameters: dict[str, int | float] = Field(default_factory=dict)


class RecallRow(FrozenModel):
    """recall@10 of the index against exact search, measured at one weight on held-out queries."""

    weight: float
    recall_at_10: float = Field(ge=0, le=1)


class ReferencePhoto(FrozenModel):
    """A picture of the gallery and its vectors, to tell whether a running network still speaks this space."""

    row: int = Field(ge=0)
    product_id: str
    image: str  # path inside the gallery folder
    image_vector: list[float]


class Manifest(FrozenModel):
    """Everything about one gallery but its vectors. Dimensions: `image_dim` D_I, `text_dim` D_T (0 without text)."""

    schema_version: int = SCHEMA_VERSION
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    created_at: datetime
    count: int = Field(ge=1)
    products: int = Field(ge=1)
    splits: list[str] | None = None
    image_vector: ImageVector
    text_vector: TextVector
    image_dim: int = Field(ge=1)
    text_dim: int = Field(ge=0)
    default_weight: float = Field(ge=0, le=25)
    text: TextSettings = TextSettings()
    labels: list[str] = Field(default_factory=list)
    recipe: IndexRecipe
    recall: list[RecallRow] = Field(default_factory=list)
    spaces: dict[str, str]  # model name -> space id
    references: list[ReferencePhoto] = Field(default_factory=list)
    files: dict[str, FileRecord]
    libraries: dict[str, str] = Field(default_factory=dict)
    catalog: dict[str, Any] = Field(default_factory=dict)  # file name, sha256, rows read and skipped


class ModelPair(FrozenModel):
    """A gallery and the model versions that made it: they move together, since vectors of two spaces never mix."""

    gallery: str
    models: dict[str, str]  # model name -> space id


class LivePointer(FrozenModel):
    """`live.json` of a store: the pair that answers now, and the one before it."""

    schema_version: int = SCHEMA_VERSION
    live: ModelPair
    previous: ModelPair | None = None
    canary: ModelPair | None = None
    canary_share: float = Field(default=0.0, ge=0, le=1)
    updated_at: datetime
