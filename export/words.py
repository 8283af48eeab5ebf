"""Folder of word vectors in (`words.bin` + `words.json`), sentence and label vectors out; the light reader of fastText.

A sentence vector is the mean of the unit vectors of its words ("mean", equation 1 of one-shot search, so it is shorter
than 1 unless all words agree), or that mean at unit length ("unit_mean", equation 2).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import NotFoundError, NotReadyError, OutOfRangeError
from catalog.texts import words

__all__ = ["WORDS_BIN", "WORDS_JSON", "LabelVectors", "Sentence", "WordModel", "WordsError", "label_vectors"]

WORDS_BIN = "words.bin"
WORDS_JSON = "words.json"
CACHE_WORDS = 50_000  # 110-d float32: about 25 MB


class WordsError(NotReadyError):
    """A folder of word vectors is missing something, is damaged, or does not fit."""


class Sentence(StrEnum):
    """How word vectors become a sentence vector."""

    MEAN = "mean"
    UNIT_MEAN = "unit_mean"


class WordSettings(BaseModel):
    """`words.json`: how the vectors were made, and so how a text must be treated to meet them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dim: int = Field(ge=1)
    sentence: Sentence = Sentence.MEAN
    ascii_only: bool = False
    min_count: int = Field(ge=1)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of words.bin: a truncated one loads without complaint


class WordModel:
    """Word vectors with subwords: a word never seen in training still gets a vector from its letters' n-grams."""

    def __init__(self, model: Any, settings: WordSettings, *, folder: Path) -> None:
        self._model = model
        self._cache: dict[str, NDArray[np.float32] | None] = {}
        self.settings = settings
        self.folder = folder

    @classmethod
    def load(cls, folder: Path) -> WordModel:
        """Open a folder of word vectors.

        Raises `WordsError` with one sentence when a file is missing, damaged, or not what its settings say.
        """
        settings = _read_settings(folder / WORDS_JSON)
        path = folder / WORDS_BIN
        if not path.is_file():
            raise WordsError(f"{path} is missing, although {WORDS_JSON} is there; train the words again")
        with path.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if got != settings.sha256:
            raise WordsError(
                f"{path} is damaged or was replaced: its sha256 is {got[:12]}..., "
                f"{WORDS_JSON} says {settings.sha256[:12]}..."
            )
        import fasttext

        try:
            model = fasttext.load_model(str(path))
        except ValueError as error:
            raise WordsError(f"{path} is no fastText model: {error}") from error
        if model.get_dimension() != settings.dim:
            raise WordsError(
                f"{path} has word vectors of dim {model.get_dimension()}, {WORDS_JSON} says {settings.dim}"
            )
        return cls(model, settings, folder=folder)

    @property
    def dim(self) -> int:
        """D_T, the dimension of word and sentence vectors."""
        return self.settings.dim

    def word_vector(self, word: str) -> NDArray[np.float32] | None:
        """Return the unit vector [D_T] of one cleaned word; None where neither it nor its subwords were ever seen."""
        if word not in self._cache:
            if len(self._cache) >= CACHE_WORDS:
                self._cache.clear()  # free words of shoppers must not grow without end
            self._cache[word] = _unit(self._model.get_word_vector(word))
        return self._cache[word]

    def sentence_vector(self, text: str) -> NDArray[np.float32] | None:
        """Return the vector [D_T] of a text, at most 1 long; None when no word of it is usable."""
        known = (self.word_vector(word) for word in words(text, ascii_only=self.settings.ascii_only))
        vectors = [vector for vector in known if vector is not None]
        if not vectors:
            return None
        mean: NDArray[np.float32] = np.stack(vectors).mean(axis=0, dtype=np.float64).astype(np.float32)
        unit = _unit(mean)
        return unit if unit is None or self.settings.sentence is Sentence.UNIT_MEAN else mean


@dataclass(frozen=True)
class LabelVectors:
    """One vector for each label of the classifier, in its order: `vectors` float32 [V, D_T], unit rows.

    A zero row is a label whose text has no usable word. Raises `OutOfRangeError` when the shapes do not fit.
    """

    labels: tuple[str, ...]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.labels):
            raise OutOfRangeError(f"{len(self.labels)} labels need as many vectors, got {list(self.vectors.shape)}")
        norms = np.linalg.norm(self.vectors, axis=1)
        if not np.all((np.abs(norms - 1) < 1e-4) | (norms == 0)):
            raise OutOfRangeError("label vectors must have length 1, or 0 where a label has no usable text")

    def of(self, label: str) -> NDArray[np.float32] | None:
        """Return the unit vector [D_T] of a label, None without usable text; `NotFoundError` for an unknown label."""
        try:
            vector = self.vectors[self.labels.index(label)]
        except ValueError:
            raise NotFoundError(f"no label '{label}' among the classifier's {len(self.labels)} labels") from None
        return vector if vector.any() else None

    def save(self, path: Path) -> None:
        """Write a `.npz` without pickle."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, labels=np.array(self.labels, dtype=np.str_), vectors=self.vectors)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> LabelVectors:
        """Read what `save` wrote. Raises `WordsError` when the file is missing or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(tuple(str(label) for label in file["labels"]), file["vectors"].astype(np.float32))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise WordsError(f"{path} is no table of label vectors: {error}") from error


def label_vectors(model: WordModel, labels: Sequence[str], *, texts: Mapping[str, str] | None = None) -> LabelVectors:
    """Return the unit vector of each label's text, `texts[label]` where given, else of the label itself."""
    vectors = np.zeros((len(labels), model.dim), np.float32)
    for row, label in enumerate(labels):
        vector = model.sentence_vector((texts or {}).get(label, label))
        if vector is not None:
            vectors[row] = vector / np.linalg.norm(vector)
    return LabelVectors(tuple(labels), vectors)


def _read_settings(path: Path) -> WordSettings:
    if not path.parent.is_dir():
        raise WordsError(f"no word vectors at {path.parent}: there is no such folder; make it with `training words`")
    try:
        return WordSettings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise WordsError(f"no word vectors at {path.parent}: {path.name} is missing") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise WordsError(f"{path} is not usable: {where}: {first['msg']}") from None


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the vector at length 1, None for a zero vector (rounding leaves some just above zero)."""
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(norm) or norm < 1e-12:
        return None
    unit: NDArray[np.float32] = (vector / norm).astype(np.float32)
    return unit
