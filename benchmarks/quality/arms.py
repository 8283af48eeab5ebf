"""The arms of the comparison as presets: which networks, which gallery, how the label enters the query, which search.

Names follow Yim, Kim, Shin, "One-Shot Item Search with Multimodal Data", Tables 1 and 2; they run on networks made as
published. `metric`, `soft` and what it is compared with are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks.quality.sequential import Merge
from index_builder.manifest import ImageVector, LabelMode, LabelSource, TextVector, UnknownLabel


@dataclass(frozen=True)
class Arm:
    """One way to search. `recipe` names the networks (recipes.py); `merge` None is one-shot search.

    Raises ValueError for settings that contradict each other.
    """

    name: str
    recipe: str
    image_vector: ImageVector = ImageVector.EMBEDDING
    text_vector: TextVector = TextVector.NONE
    label_source: LabelSource = LabelSource.CATALOG
    unknown: UnknownLabel = UnknownLabel.NOTHING
    centered: bool = False
    label_mode: LabelMode = LabelMode.NONE
    merge: Merge | None = None
    abstain: bool = False
    projected: bool = False  # label vectors of queries by what the classifier confuses (confusion.py)
    note: str = ""

    def __post_init__(self) -> None:
        if (self.text_vector is TextVector.NONE) != (self.label_mode is LabelMode.NONE):
            raise ValueError(f"arm {self.name}: text vectors are {self.text_vector}, label mode is {self.label_mode}")
        if self.merge is not None and self.text_vector is TextVector.NONE:
            raise ValueError(f"arm {self.name}: a sequential search needs text")
        if self.projected and self.text_vector is TextVector.NONE:
            raise ValueError(f"arm {self.name}: without text no label vector can be projected")

    @property
    def with_text(self) -> bool:
        """Whether the query has a text part."""
        return self.text_vector is not TextVector.NONE

    def on(self, recipe: str) -> Arm:
        """Return the same arm on other networks."""
        return replace(self, recipe=recipe)


# Centered texts tell labels of one kind apart, which a soft label needs (`all`, study quality_extras).
_FUSED = Arm("", "fused", text_vector=TextVector.WORDVECTOR, centered=True, label_mode=LabelMode.SOFT, abstain=True)

FROZEN = Arm("frozen", "frozen", note="GoogLeNet pool5, image only")
ORIGINAL = Arm("original", "published", note="embedder of four pooled stages and hinge losses, image only")
CLASSIFIER = replace(
    ORIGINAL,
    name="classifier",
    image_vector=ImageVector.POOLED,
    note="pooled features of the classifier as image vector, image only",
)
OURS1 = replace(
    ORIGINAL,
    name="ours1",
    text_vector=TextVector.ONEHOT,
    unknown=UnknownLabel.DELTA0,
    label_mode=LabelMode.HARD,
    note="one-hot labels, the gallery's from the catalog",
)
OURS1_CLASSIFIER = replace(
    OURS1,
    name="ours1-classifier",
    label_source=LabelSource.CLASSIFIER,
    note="one-hot labels, the gallery's from the classifier",
)
OURS2 = replace(
    ORIGINAL,
    name="ours2",
    text_vector=TextVector.WORDVECTOR,
    label_mode=LabelMode.HARD,
    note="word vectors, hard label",
)
METRIC = Arm("metric", "separate", note="embedder whose upper layers learn on clusters too, image only")
SOFT = replace(_FUSED, name="soft", note="fused network, word vectors, soft label, abstention")
SOFT_TWO_NETWORKS = replace(SOFT, name="soft-two-networks", recipe="separate", note="soft on two networks")
SEQUENTIAL_RRF = replace(
    _FUSED, name="sequential-rrf", merge=Merge.RECIPROCAL_RANK, note="two searches, reciprocal rank fusion"
)
SEQUENTIAL_IMAGE_FIRST = replace(
    _FUSED, name="sequential-image-first", merge=Merge.IMAGE_FIRST, note="best 200 by image, re-ranked by text"
)
SEQUENTIAL_TEXT_FIRST = replace(
    _FUSED, name="sequential-text-first", merge=Merge.TEXT_FIRST, note="best 200 by text, re-ranked by image"
)

BEST = SOFT.name
ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        FROZEN,
        CLASSIFIER,
        ORIGINAL,
        OURS1,
        OURS1_CLASSIFIER,
        OURS2,
        METRIC,
        SOFT,
        SOFT_TWO_NETWORKS,
        SEQUENTIAL_RRF,
        SEQUENTIAL_IMAGE_FIRST,
        SEQUENTIAL_TEXT_FIRST,
    )
}
