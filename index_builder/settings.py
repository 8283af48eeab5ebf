"""What kind of gallery a build makes: every choice that changes its bytes, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field

from catalog.errors import OutOfRangeError
from catalog.pictures import PictureLimits
from index_builder.fusion import check_weight, text_factor
from index_builder.manifest import ImageVector, LabelSettings, LabelSource, TextVector, UnknownLabel
from index_builder.recipes import Budget
from index_builder.texts import TextOptions
from index_builder.views import check_views


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
