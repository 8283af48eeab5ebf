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


class LabelMode(StrEnum):
    """How the predicted labels of a query become its text part."""

    HARD = "hard"  # the vector of the most probable label
    SOFT = "soft"  # the sum of all labels' vectors, each times its probability
    NONE = "none"


class LabelSource(StrEnum):
    """Who says what label a gallery row has."""

    CATALOG = "catalog"
    CLASSIFIER = "classifier"


class UnknownLabel(StrEnum):
    """What stands for an unknown label in one-hot text parts (docs/adr/0007)."""

    NOTHING = "nothing"  # a zero text part, which counts 0
    DELTA0 = "delta0"  # a component of its own, so that unknown meets unknown, as the paper has it


class FrozenModel(BaseModel):
    """Immutable, and an unknown field is an error: a manifest of a newer schema is refused, not half understood."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PartSums(FrozenModel):
    """Checksums of a file's parts of `part_bytes` each, the last one shorter; together they cover every byte."""

    part_bytes: int = Field(ge=1)
    sha256: tuple[Sha256, ...]


class FileRecord(FrozenModel):
    """One file of the gallery folder."""

    size_bytes: int = Field(ge=0)
    sha256: Sha256
    parts: PartSums | None = None  # of a large file, so that several cores can check it at the same time


class TextSettings(FrozenModel):
    """How texts became vectors, so that a query's words are treated like the gallery's."""

    ascii_only: bool = False
    sentence: str = Field(default="mean", pattern="^(mean|unit_mean)$")
    centered: bool = False  # text_center.npy is subtracted from every unit text vector, which is made unit again
    label_source: LabelSource = LabelSource.CATALOG
    unknown: UnknownLabel = UnknownLabel.NOTHING


class LabelSettings(FrozenModel):
    """How predicted labels enter a query unless it says otherwise, chosen with the gallery's weight.

    Below `min_confidence` (the probability of the best label) a query goes without text; `top` is how many labels,
    the most probable first, a soft text part is made of (None: all).
    """

    mode: LabelMode = LabelMode.HARD
    min_confidence: float = Field(default=0.0, ge=0, le=1)
    top: int | None = Field(default=None, ge=1)


class Device(StrEnum):
    """Where the index answers."""

    CPU = "cpu"
    GPU = "gpu"


class RecallRow(FrozenModel):
    """recall@10 of the index against exact search, measured at one weight on held-out queries."""

    weight: float
    recall_at_10: float = Field(ge=0, le=1)


class OperatingPoint(FrozenModel):
    """One way to ask an index and what it gave: recall@10 at each measured weight, time of one query on one thread."""

    search_parameters: dict[str, int | float]
    candidates: int = Field(ge=1)
    recall: list[RecallRow]
    ms_per_query: float = Field(ge=0)


class IndexRecipe(FrozenModel):
    """Factory string (FAISS', or ours of `part_transforms`) and how to ask the index, by FAISS' own names.

    `candidates` rows are listed for a top_k of up to 16 and ranked exactly, in proportion more for a larger one.
    `points` are the settings worth having, the quickest first (none of them is both slower and worse than another);
    `tuned_recall` is that of the chosen one at the default weight, on the queries it was chosen with.
    """

    factory: str
    search_parameters: dict[str, int | float] = Field(default_factory=dict)
    candidates: int = Field(default=64, ge=1)
    device: Device = Device.CPU
    target_recall: float | None = Field(default=None, ge=0, le=1)
    tuned_recall: float | None = Field(default=None, ge=0, le=1)
    points: list[OperatingPoint] = Field(default_factory=list)

    @property
    def shortfall(self) -> str | None:
        """One sentence when the wanted recall was not reached by any setting, else None."""
        if self.target_recall is None or self.tuned_recall is None or self.tuned_recall >= self.target_recall:
            return None
        return (
            f"the recipe '{self.factory}' finds {self.tuned_recall:.3f} of the ten nearest rows at its best setting, "
            f"{self.target_recall:g} was wanted; give more --max-memory, another --recipe or a lower --target-recall"
        )


class MilvusRows(FrozenModel):
    """Where the rows of a gallery on Milvus lie: its collection, and the alias that names the live one.

    The server's address is a setting and no part of a gallery: it may hold a password, and servers move.
    """

    collection: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,254}$")
    alias: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,254}$")
    index: str


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
    label: LabelSettings = LabelSettings()
    journal: int = Field(default=0, ge=0)  # the last batch of the store's journal that the build has merged
    views: int = Field(default=1, ge=1)  # views of each picture whose vectors were averaged
    labels: list[str] = Field(default_factory=list)
    recipe: IndexRecipe
    recall: list[RecallRow] = Field(default_factory=list)
    spaces: dict[str, str]  # model name -> space id
    references: list[ReferencePhoto] = Field(default_factory=list)
    files: dict[str, FileRecord]
    libraries: dict[str, str] = Field(default_factory=dict)
    catalog: dict[str, Any] = Field(default_factory=dict)  # file name, sha256, rows read and skipped
    milvus: MilvusRows | None = None  # None: the rows are files of the gallery folder

    def to_json(self) -> bytes:
        """The bytes of `manifest.json`; what is not set is left out, so that programs before these fields read it."""
        unset = {name for name in ("milvus", "journal") if not getattr(self, name)}
        return (self.model_dump_json(indent=1, exclude=unset) + "\n").encode()


class ModelPair(FrozenModel):
    """A gallery and the model versions that made it: they move together, since vectors of two spaces never mix."""

    gallery: str
    models: dict[str, str]  # model name -> space id


class Forced(FrozenModel):
    """That a gallery was made live although it did not pass the gate, who did it and why."""

    reason: str = Field(min_length=1)
    by: str
    at: datetime
    failed: list[str] = Field(min_length=1)  # what the gate said


class LivePointer(FrozenModel):
    """`live.json` of a store: the pair that answers now, and the one before it."""

    schema_version: int = SCHEMA_VERSION
    live: ModelPair
    previous: ModelPair | None = None
    canary: ModelPair | None = None
    canary_share: float = Field(default=0.0, ge=0, le=1)
    updated_at: datetime
    forced: Forced | None = None
    forced_canary: Forced | None = None
    removing: list[str] = Field(default_factory=list)  # a prune removes these now; no swap may name them

    @property
    def named(self) -> set[str]:
        """The versions that answer, answered last, or are tried: never to be removed."""
        return {pair.gallery for pair in (self.live, self.previous, self.canary) if pair is not None}

    def to_json(self) -> bytes:
        """The bytes of `live.json`; what is not set is left out, so that programs before these fields read it too."""
        unset = {name for name in ("forced", "forced_canary", "removing") if not getattr(self, name)}
        return (self.model_dump_json(indent=1, exclude=unset) + "\n").encode()
