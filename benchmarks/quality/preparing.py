"""Recipes in, model repositories and runs out: runs the commands of `recipes.py` that have not been run.

A recipe is a list of commands that a user could type. It is run for a variant of the data: the whole training split
(`TRAIN`), that split without one look of each label (`fold_variant`), or without half of the labels (`unseen_variant`).
A command is skipped when what it makes is there, and refused when that was made by another command.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.artifacts import run
from catalog.errors import NotFoundError, NotReadyError
from catalog.reader import load_catalog
from catalog.rows import Product
from export.graphs import exported_temperature

RUNS = Path("runs")
HELD = "fold{}"
SEEN, UNSEEN = "seen", "unseen"
ICONIC = "iconic"


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


def prepare(recipe: Recipe, shared: Shared, variant: Variant | None = None, *, runs: Path = RUNS) -> Prepared:
    """Run the commands whose outcome is missing; raises `NotReadyError` for a failure or another command's outcome."""
    variant = variant or shared.train
    values = _values(recipe, shared, variant, runs)
    history = ""
    fresh = False  # what comes after a new run must be made anew too
    for step, arguments in zip(recipe.steps, commands(recipe, shared, variant, runs=runs), strict=True):
        target = Path(step.makes.format(**values))
        history += f"python -m {shlex.join(arguments)}\n"
        if fresh or not target.exists():
            run(*arguments)
            fresh = True
            if not target.exists():
                raise NotReadyError(f"`python -m {shlex.join(arguments)}` did not make {target}")
            _stamp(target).write_text(history, encoding="utf-8")
        else:
            _check_stamp(target, history)
    return Prepared(recipe, variant, Path(recipe.repository.format(**values)), Path(recipe.record.format(**values)))


def commands(recipe: Recipe, shared: Shared, variant: Variant | None = None, *, runs: Path = RUNS) -> list[list[str]]:
    """Return the commands of a recipe as arguments after `python -m`: what identifies a figure made with it."""
    values = _values(recipe, shared, variant or shared.train, runs)
    return [[part.format(**values) for part in shlex.split(step.command)] for step in recipe.steps]


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
    """Write the rows under other split names; pictures stay where they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    columns = ("product_id", "image", "title", "category_path", "description", "label", "cluster", "split")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row, split in zip(rows, splits, strict=True):
            image = os.path.relpath(source.parent / row.image, path.parent)
            cells = {name: getattr(row, name) or "" for name in columns}
            writer.writerow({**cells, "image": image, "split": split})
    temporary.replace(path)
    return path


def _stamp(target: Path) -> Path:
    return target.with_name(f".{target.name}.command")


def _check_stamp(target: Path, history: str) -> None:
    """Refuse what other commands made: a figure would carry the wrong recipe. What has no stamp was made by hand."""
    if _stamp(target).is_file() and _stamp(target).read_text(encoding="utf-8") != history:
        raise NotReadyError(
            f"{target.parent} was made by other commands than the recipe says now (see {_stamp(target)}); "
            "remove that folder and run this again"
        )
