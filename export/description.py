"""The words of a model repository: tensor and model names, and what a network, `photo` and a whole repository are.

Only types, checked when they are made; `export.contract` reads and writes them and is where to import them from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.errors import NotReadyError, OutOfRangeError


class Tensor(StrEnum):
    """Names of the tensors on the wire. `IMAGE` is uint8 [B, S, S, 3], RGB; the others are float32."""

    IMAGE = "image"
    EMBEDDING = "embedding"  # [B, D], unit length
    PROBABILITIES = "probabilities"  # [B, V], rows sum to 1
    POOLED = "pooled"  # [B, P], unit length


class Model(StrEnum):
    """Names of the models in a repository. `PHOTO` answers all tensors: an ensemble of the others or fused."""

    EMBEDDER = "embedder"
    CLASSIFIER = "classifier"
    PHOTO = "photo"


# The networks behind an ensemble `photo` and what each of them answers.
NETWORK_OUTPUTS: dict[Model, tuple[Tensor, ...]] = {
    Model.EMBEDDER: (Tensor.EMBEDDING,),
    Model.CLASSIFIER: (Tensor.PROBABILITIES, Tensor.POOLED),
}
# The same for a `photo` that is one fused network.
FUSED_OUTPUTS: dict[Model, tuple[Tensor, ...]] = {
    Model.PHOTO: (Tensor.EMBEDDING, Tensor.PROBABILITIES, Tensor.POOLED),
}


class ModelRepositoryError(NotReadyError):
    """A model repository is missing something or does not fit together."""


@dataclass(frozen=True)
class RepositoryInfo:
    """What a model repository serves: everything a caller must know to use it.

    `size_px` is S of the image input; `labels` are the classifier's V labels in the order of its output; `spaces` maps
    model name to space id (a hash of checkpoint, preprocessing and head: equal ids mean comparable vectors), one for
    each network: those of the ensemble, or `photo` alone where it is a fused network.
    """

    size_px: int
    embedding_dim: int
    pooled_dim: int
    labels: tuple[str, ...]
    spaces: dict[str, str]
    max_batch: int

    @property
    def networks(self) -> dict[Model, tuple[Tensor, ...]]:
        """The networks that run, and what each of them answers."""
        return FUSED_OUTPUTS if Model.PHOTO in self.spaces else NETWORK_OUTPUTS


@dataclass(frozen=True)
class ModelDescription:
    """One network of a repository, as its `config.pbtxt` tells it.

    `outputs` maps tensor to dimension; `labels` name the columns of `probabilities`; `onnx_sha256` and `spaces` map
    each version on disk to its file's checksum and its space id (`write_model` fills both); `space_id` is the newest's.
    `queue_delay_us` is how long dynamic batching may wait for more requests (None: no dynamic batching).

    Raises `OutOfRangeError` for values that no repository can hold.
    """

    name: str
    size_px: int
    outputs: Mapping[Tensor, int]
    space_id: str
    labels: tuple[str, ...] = ()
    max_batch: int = 32
    queue_delay_us: int | None = 0
    instances: int = 1
    warm_up: bool = True
    onnx_sha256: Mapping[int, str] = field(default_factory=dict)
    spaces: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what in ("size_px", "max_batch", "instances"):
            if (value := getattr(self, what)) < 1:
                raise OutOfRangeError(f"{self.name}: {what} is {value}, at least 1 is needed")
        if not self.name or not self.space_id or not self.outputs:
            raise OutOfRangeError(f"model '{self.name}' needs a name, a space id and at least one output")
        wanted = self.outputs.get(Tensor.PROBABILITIES, 0)
        if len(self.labels) != wanted:
            raise OutOfRangeError(
                f"{self.name}: {len(self.labels)} labels for {wanted} probabilities; one each is needed"
            )
        if len(set(self.labels)) != len(self.labels):
            raise OutOfRangeError(f"{self.name}: the same label occurs twice")
        for label in self.labels:
            if label.splitlines() != [label.strip()]:
                raise OutOfRangeError(f"{self.name}: label {label!r} is not one line without outer blanks")

    @property
    def version(self) -> int:
        """The newest version on disk, which is the one `photo` asks."""
        return max(self.onnx_sha256)


@dataclass(frozen=True)
class PhotoDescription:
    """The model `photo`: an ensemble that hands one image to several networks, or a fused network.

    `spaces` maps the networks' names to their space ids; a fused one has its own name there.
    """

    size_px: int
    outputs: Mapping[Tensor, int]
    spaces: Mapping[str, str]
    max_batch: int


def plain(value: object) -> object:
    """Return `value` as a sentence may quote it: a mapping by its keys' texts, anything else as it is."""
    return {str(key): value[key] for key in sorted(value)} if isinstance(value, Mapping) else value
