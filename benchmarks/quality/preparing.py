"""Recipes in, model repositories and runs out: runs the commands of `recipes.py` that have not been run.

A recipe is a list of commands that a user could type. It is run for a variant of the data: the whole training split
(`TRAIN`), that split without one look of each label (`fold_variant`), or without half of the labels (`unseen_variant`).

A command is skipped when what it makes is there, and refused when that was made otherwise. What it was made of is
written beside it (a stamp): all commands so far, and hashes of what they read. What has no stamp was made by hand; it
stays as long as it is not older than the files it is made of.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.artifacts import run
from benchmarks.quality.ingredients import data_read, files_read, told
from catalog.errors import NotFoundError, NotReadyError
from catalog.reader import load_catalog
from catalog.rows import Product
from export.graphs import exported_temperature

RUNS = Path("runs")
HELD = "fold{}"
SEEN, UNSEEN = "seen", "unseen"
ICONIC = "iconic"
# A stamp that no history equals, so that a run that is stopped here is not taken for whole the next time.
STALE = "to be made anew: what comes before it was made anew\n"


@dataclass(frozen=True)
class Variant:
    """What a recipe is trained on: `split` of `catalog`; `suffix` tells its folders apart."""

    catalog: Path
    split: str = "train"
    held: str = "val"
    suffix: str = ""


@dataclass(frozen=True)
class Step:
    """One command and what it makes.

    Placeholders: {weights} {catalog} {train_catalog} {split} {held} {clothing} {products} {seed} {run} {train_run}.

    {run} is the beginning of all of a variant's folders, `runs/grocery` or `runs/grocery-fold0`; {train_run} is that
    of the whole training split, for what does not depend on the variant.
    """

    makes: str
    command: str


@dataclass(frozen=True)
class Recipe:
    """How one repository (or one run, for a study) comes about. `record` is the `run.json` whose labels it answers."""

    name: str
    steps: tuple[Step, ...]
    repository: str = ""
    record: str = ""
    folds: tuple[int, ...] = ()  # looks held out for its choices by networks of their own; none: a probe on `frozen`
    seed: int = 0

    def seeded(self, seed: int) -> Recipe:
        """Return the same recipe with another {seed}."""
        return replace(self, seed=seed)


@dataclass(frozen=True)
class Prepared:
    """Where a recipe's outcome lies, relative to the working folder."""

    recipe: Recipe
    variant: Variant
    repository: Path
    record: Path

    @property
    def temperature(self) -> float:
        """The temperature inside the exported graph: what that says, else what the run says, else 1."""
        for model in self.repository.glob("*/1/model.onnx") if self.recipe.repository else ():
            if (exported := exported_temperature(model)) is not None:
                return exported
        if not self.record.is_file():
            return 1.0
        return float(json.loads(self.record.read_text(encoding="utf-8")).get("temperature", 1.0))


@dataclass(frozen=True)
class Shared:
    """The folder of real photos and weights. Raises `NotFoundError` where something of it is missing."""

    folder: Path

    def __post_init__(self) -> None:
        for needed in (self.catalog, self.clothing, self.products, self.weights):
            if not needed.is_file():
                raise NotFoundError(f"{needed} is missing; say where the real photos and weights lie with --shared")

    @property
    def catalog(self) -> Path:
        """The grocery photos."""
        return self.folder / "data/grocery/catalog.csv"

    @property
    def clothing(self) -> Path:
        """The clothing photos."""
        return self.folder / "data/clothing/catalog.csv"

    @property
    def products(self) -> Path:
        """Product texts for word vectors."""
        return self.folder / "data/text/products.csv"

    @property
    def weights(self) -> Path:
        """The ImageNet backbone."""
        return self.folder / "weights/googlenet-imagenet.onnx"

    @property
    def train(self) -> Variant:
        """The whole training split."""
        return Variant(self.catalog)


def prepare(
    recipe: Recipe, shared: Shared, variant: Variant | None = None, *, runs: Path = RUNS, anew: bool = False
) -> Prepared:
    """Run the commands whose outcome is missing, and all that follow one that was run.

    What was made by other commands, or of other data, is made `anew` or refused. Raises `NotReadyError` then, and for a
    command that fails.
    """
    variant = variant or shared.train
    values = _values(recipe, shared, variant, runs)
    targets = [Path(step.makes.format(**values)) for step in recipe.steps]
    history = ""
    fresh = False  # what comes after a new run must be made anew too
    for place, arguments in enumerate(commands(recipe, shared, variant, runs=runs)):
        target = targets[place]
        history += told(arguments)
        if not fresh and _is_current(target, arguments, history, anew=anew):
            continue
        for later in targets[place:]:
            if later.exists():
                _write(_stamp(later), STALE)
        run(*arguments)
        fresh = True
        if not target.exists():
            raise NotReadyError(f"`python -m {shlex.join(arguments)}` did not make {target}")
        _write(_stamp(target), history)
    return Prepared(recipe, variant, Path(recipe.repository.format(**values)), Path(recipe.record.format(**values)))


def commands(recipe: Recipe, shared: Shared, variant: Variant | None = None, *, runs: Path = RUNS) -> list[list[str]]:
    """Return the commands of a recipe as arguments after `python -m`: what identifies a figure made with it."""
    values = _values(recipe, shared, variant or shared.train, runs)
    return [[part.format(**values) for part in shlex.split(step.command)] for step in recipe.steps]


def ingredients(recipe: Recipe, shared: Shared, variant: Variant | None = None, *, runs: Path = RUNS) -> list[object]:
    """Return the commands of a recipe, each with the hashes of the data it reads: what a figure depends on."""
    return [[arguments, data_read(arguments)] for arguments in commands(recipe, shared, variant, runs=runs)]


def fold_variant(shared: Shared, fold: Sequence[int], number: int, *, looks: int, runs: Path = RUNS) -> Variant:
    """Return the training split without fold `number`; `fold` [N] is that of each of its rows, in file order."""
    rows = load_catalog(shared.catalog, splits=["train"]).products
    if len(rows) != len(fold):
        raise ValueError(f"{len(fold)} folds for {len(rows)} rows")
    iconic = _iconic(shared)
    splits = [*(HELD.format(own) for own in fold), *(ICONIC for _ in iconic)]
    path = _write_catalog(runs / "grocery-folds/catalog.csv", shared.catalog, [*rows, *iconic], splits)
    others = ",".join(HELD.format(other) for other in range(looks) if other != number)
    return Variant(path, others, HELD.format(number), f"-fold{number}")


def unseen_variant(shared: Shared, unseen: Sequence[str], *, runs: Path = RUNS) -> Variant:
    """Return the training split without the labels `unseen`."""
    rows = load_catalog(shared.catalog, splits=["train"]).products
    iconic = [row for row in _iconic(shared) if row.label not in set(unseen)]
    splits = [*(UNSEEN if row.label in set(unseen) else SEEN for row in rows), *(ICONIC for _ in iconic)]
    path = _write_catalog(runs / "grocery-seen/catalog.csv", shared.catalog, [*rows, *iconic], splits)
    return Variant(path, SEEN, UNSEEN, "-seen")


def _iconic(shared: Shared) -> list[Product]:
    """Return the catalog's own pictures, which every network is trained on beside its split."""
    return [row for row in load_catalog(shared.catalog).products if row.split == ICONIC]


def _values(recipe: Recipe, shared: Shared, variant: Variant, runs: Path) -> dict[str, str]:
    return {
        "weights": str(shared.weights),
        "catalog": str(variant.catalog),
        "train_catalog": str(shared.catalog),
        "split": variant.split,
        "held": variant.held,
        "clothing": str(shared.clothing),
        "products": str(shared.products),
        "seed": str(recipe.seed),
        "run": str(runs / f"grocery{variant.suffix}"),
        "train_run": str(runs / "grocery"),
    }


def _write_catalog(path: Path, source: Path, rows: Sequence[Product], splits: Sequence[str]) -> Path:
    """Write the rows under other split names; pictures stay where they are, and so does a file that is right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ("product_id", "image", "title", "category_path", "description", "label", "cluster", "split")
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row, split in zip(rows, splits, strict=True):
        image = os.path.relpath(source.parent / row.image, path.parent)
        cells = {name: getattr(row, name) or "" for name in columns}
        writer.writerow({**cells, "image": image, "split": split})
    if not path.is_file() or path.read_bytes() != text.getvalue().encode():
        _write(path, text.getvalue())
    return path


def _is_current(target: Path, arguments: Sequence[str], history: str, *, anew: bool) -> bool:
    """Whether what is there is what the commands would make; `NotReadyError` for what is to be refused."""
    stamp = _stamp(target)
    if not target.exists():
        return False
    if not stamp.is_file():
        made = target.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns <= made for path in files_read(arguments))
    written = stamp.read_text(encoding="utf-8")
    if written not in (history, STALE) and not anew:
        raise NotReadyError(
            f"{target.parent} was made by other commands or of other data than the recipe says now (see {stamp}); "
            "remove that folder and run this again"
        )
    return written == history


def _stamp(target: Path) -> Path:
    return target.with_name(f".{target.name}.command")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(text.encode())
    temporary.replace(path)
