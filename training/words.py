"""Catalogs in, fastText word vectors with subwords out: a folder with `words.bin` and `words.json`.

The corpus is one sentence for each different text: cleaned category, title and description. Needs no torch.
"""

from __future__ import annotations

import csv
import ctypes
import hashlib
import json
import os
import platform
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from catalog.reader import iter_rows
from catalog.rows import Product
from catalog.texts import words

MAX_BUCKET = 50_000  # fastText's 2 M n-gram rows would make a file of 880 MB
PAPER_MIN_COUNT = 6  # "more than five times"
TOKENS_PER_COUNT = 10_000
TOKEN_BUDGET = 2_000_000  # small shops are read more often, so that their vectors settle
MIN_EPOCHS, MAX_EPOCHS = 5, 30
MODELS = ("skipgram", "cbow")
SENTENCES = ("mean", "unit_mean")
SETTINGS_FILE = "words.json"
_M_PERTURB = -6  # of malloc.h


@dataclass(frozen=True)
class WordsSummary:
    """What was trained: `texts` different texts with `tokens` words, of which `vocabulary` different ones were kept.

    `bad_rows` of the catalogs were skipped.
    """

    out: Path
    texts: int
    tokens: int
    vocabulary: int
    dim: int
    min_count: int
    epochs: int
    bad_rows: int = 0


def train_words_from_catalogs(
    catalogs: Sequence[Path],
    *,
    out: Path,
    splits: Sequence[str] | None = None,
    dim: int = 110,
    min_count: int | None = None,
    bucket: int = MAX_BUCKET,
    epochs: int | None = None,
    threads: int = 1,
    seed: int = 0,
    model: str = "skipgram",
    min_n: int = 3,
    max_n: int = 6,
    sentence: str = "mean",
    ascii_only: bool = False,
) -> WordsSummary:
    """Train word vectors on all texts of the catalogs (or of plain CSV files with the text columns) and write them.

    `min_count` None means 6, lowered for small shops to one for each 10,000 words, at least 1. `epochs` None means as
    many as make about 2 M words, between 5 and 30. Only `threads=1` is reproducible. Raises `OutOfRangeError` for a
    setting, `NotFoundError` for a missing file and `MalformedError` when there is no usable text.
    """
    _check_out(out)
    if seed < 0:
        raise OutOfRangeError(f"seed is {seed}, at least 0 is needed")
    _check(dim=dim, min_count=min_count, bucket=bucket, epochs=epochs, threads=threads)
    _check_choice("model", model, MODELS)
    _check_choice("sentence", sentence, SENTENCES)
    if not 1 <= min_n <= max_n:
        raise OutOfRangeError(f"subwords of {min_n} to {max_n} letters: 1 <= min_n <= max_n is needed")
    lines, bad_rows = corpus_lines(catalogs, splits=splits, ascii_only=ascii_only)
    corpus = sorted(lines)
    # fastText takes no seed here; the order of its lines is what can be drawn, and categories must not come one by one.
    random.Random(seed).shuffle(corpus)
    counts = Counter(word for line in corpus for word in line.split())
    tokens = counts.total()
    if not tokens:
        raise MalformedError(
            f"no usable text in {_listed(catalogs)}: titles, categories and descriptions are all empty"
        )
    min_count = min_count or default_min_count(tokens)
    epochs = epochs or max(MIN_EPOCHS, min(MAX_EPOCHS, TOKEN_BUDGET // tokens))
    vocabulary = sum(count >= min_count for count in counts.values())
    if not vocabulary:
        raise MalformedError(
            f"no word of {_listed(catalogs)} is seen {min_count} times; the most frequent one is seen "
            f"{max(counts.values())} times: lower min_count"
        )
    options = {"model": model, "dim": dim, "minCount": min_count, "bucket": bucket, "epoch": epochs}
    options |= {"minn": min_n, "maxn": max_n, "thread": threads}
    summary = WordsSummary(out, len(corpus), tokens, vocabulary, dim, min_count, epochs, bad_rows)
    settings = {
        "seed": seed,
        "sentence": sentence,
        "ascii_only": ascii_only,
        "catalogs": [path.name for path in catalogs],
    }
    _train_into(out, corpus, options=options, settings={**asdict(summary), **settings, "options": options})
    return summary


def default_min_count(tokens: int) -> int:
    """Return how often a word must be seen: the paper's 6 from 60,000 words on, one less for each 10,000 fewer."""
    return max(1, min(PAPER_MIN_COUNT, tokens // TOKENS_PER_COUNT))


def corpus_lines(catalogs: Sequence[Path], *, splits: Sequence[str] | None, ascii_only: bool) -> tuple[set[str], int]:
    """Return each different cleaned text once, and how many bad rows were skipped.

    Once, since forty photos of a product must not count its words forty times.
    """
    lines: set[str] = set()
    bad_rows = 0
    for path in catalogs:
        for texts in _texts(path, splits=splits):
            if texts is None:
                bad_rows += 1
                continue
            parts = (words(text, ascii_only=ascii_only) for text in texts)
            if line := " ".join(word for part in parts for word in part):
                lines.add(line)
    return lines, bad_rows


def _texts(path: Path, *, splits: Sequence[str] | None) -> Iterator[tuple[str, str, str] | None]:
    """Yield category path, title and description of every row, None for a bad one.

    A plain text table has neither products nor splits.
    """
    if not path.is_file():
        raise NotFoundError(f"no catalog at {path}")
    if path.suffix.lower() == ".csv" and "product_id" not in _header(path):
        yield from _plain_texts(path)
        return
    for row in iter_rows(path, splits=splits):
        if isinstance(row, Product):
            yield row.category_path, row.title, row.description
        else:
            yield None


def _plain_texts(path: Path) -> Iterator[tuple[str, str, str]]:
    columns = ("category_path", "title", "description")
    if not set(columns) & set(_header(path)):
        raise MalformedError(f"{path} has none of the columns {', '.join(columns)}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            category_path, title, description = (row.get(column) or "" for column in columns)
            yield category_path, title, description


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except UnicodeDecodeError as error:
        raise MalformedError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None


def _train_into(out: Path, corpus: list[str], *, options: dict[str, Any], settings: dict[str, Any]) -> None:
    """Train in a folder beside `out`, then move both files in; the settings carry the checksum that ties them."""
    import fasttext

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".words-", dir=out) as name:
        folder = Path(name)
        text = folder / "corpus.txt"
        text.write_text("".join(f"{line}\n" for line in corpus), encoding="utf-8")
        with _zeroed_memory():
            model = fasttext.train_unsupervised(str(text), verbose=0, **options)
        model.save_model(str(folder / "words.bin"))
        with (folder / "words.bin").open("rb") as file:
            settings["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        written = json.dumps({**settings, "out": out.name}, indent=2, ensure_ascii=False)
        (folder / SETTINGS_FILE).write_text(written + "\n", encoding="utf-8")
        for file_name in ("words.bin", SETTINGS_FILE):
            os.replace(folder / file_name, out / file_name)  # noqa: PTH105 - same file system, one step


@contextmanager
def _zeroed_memory() -> Iterator[None]:
    """Have the C library hand out zeros while fastText allocates its matrices.

    With t < 10 threads fastText 0.9.3 fills t tenths of its input matrix and reads the rest as it finds it: zeros in a
    fresh process, but "Encountered NaN", or vectors that differ from run to run, in one that has used its memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or platform.libc_ver()[0] != "glibc":
        yield
        return
    mallopt(_M_PERTURB, 0xFF)  # new memory gets the complement of this byte
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)


def _check_out(out: Path) -> None:
    """Refuse a place that holds something other than word vectors."""
    if out.exists() and not (out / SETTINGS_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise MalformedError(f"{out} exists and holds no word vectors; choose another --out or remove it")


def _check(**settings: int | None) -> None:
    for name, value in settings.items():
        if value is not None and value < 1:
            raise OutOfRangeError(f"{name} is {value}, at least 1 is needed")
    if (bucket := settings["bucket"]) is not None and bucket > MAX_BUCKET:
        raise OutOfRangeError(f"bucket is {bucket}, at most {MAX_BUCKET} keeps the file small")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OutOfRangeError(f"{name} is '{value}', expected {' or '.join(choices)}")


def _listed(catalogs: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in catalogs) or "no catalog"
