"""The real grocery photos in, each arm's choices and figures out; everything is made once, when first asked for.

Gallery is `train` with its texts, queries are `val`; choices are made inside `train` (../shared/data/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.arms import ARMS, Arm
from benchmarks.quality.choose import Chosen, choose, probe_scenes
from benchmarks.quality.clusters import ClusterScore, unseen_clusters, unseen_labels
from benchmarks.quality.confusion import confusion_for
from benchmarks.quality.folds import LOOKS, shifted_folds
from benchmarks.quality.outputs import Outputs, View, outputs_of
from benchmarks.quality.preparing import (
    RUNS,
    Prepared,
    Recipe,
    Shared,
    Variant,
    fold_variant,
    ingredients,
    prepare,
    unseen_variant,
)
from benchmarks.quality.recipes import FROZEN, RECIPES, WORDS
from benchmarks.quality.search import Choice, Figures, Ranked, Scene, figures, search
from catalog.errors import NotFoundError
from catalog.reader import load_catalog
from catalog.terminal import console
from export.words import WordModel


@dataclass(frozen=True)
class Measured:
    """An arm on the query photos: what it chose by folds, its hits among `gallery_rows` rows, its figures."""

    arm: Arm
    chosen: Chosen
    ranked: Ranked
    figures: Figures
    gallery_rows: int


class GroceryBench:
    """Everything that figures on the grocery photos are made of. `networks` puts every arm on one recipe's networks."""

    def __init__(self, shared: Path, *, networks: str | None = None) -> None:
        if networks is not None and networks not in RECIPES:
            raise NotFoundError(f"no recipe '{networks}'; known are {', '.join(RECIPES)}")
        self.shared = Shared(shared)
        self._networks = networks
        self._prepared: dict[str, Prepared] = {}
        self._outputs: dict[tuple[str, str, View], Outputs] = {}
        self._scenes: dict[tuple[str, View], list[Scene]] = {}
        self._measured: dict[str, Measured] = {}
        self._chosen: dict[str, Chosen] = {}

    @cached_property
    def words(self) -> WordModel:
        """The word vectors of all arms."""
        prepare(WORDS, self.shared)
        return WordModel.load(RUNS / "grocery-words")

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """The held-out look of each row of `train`, by frozen features."""
        frozen = self.outputs(FROZEN.name, "train")
        return shifted_folds(frozen.embedding, frozen.truth)

    def arm(self, name: str) -> Arm:
        """Return a preset, on the networks asked for."""
        arm = ARMS[name]
        return arm if self._networks is None else arm.on(self._networks)

    def recipe(self, name: str) -> str:
        """Return the recipe's name, or that of the networks asked for."""
        return self._networks or name

    def prepared(self, recipe: str) -> Prepared:
        """Train and export a recipe where that has not been done."""
        if recipe not in self._prepared:
            self._prepared[recipe] = prepare(RECIPES[recipe], self.shared)
        return self._prepared[recipe]

    def outputs(self, recipe: str, split: str, *, view: View = View.PLAIN) -> Outputs:
        """Return what a recipe's networks answer for a split of the photos."""
        key = (recipe, split, view)
        if key not in self._outputs:
            repository = self.prepared(recipe).repository
            self._outputs[key] = outputs_of(repository, self.shared.catalog, [split], view=view)
        return self._outputs[key]

    def scene(self, recipe: str, *, gallery: str = "train", queries: str = "val") -> Scene:
        """Return a gallery and queries of a recipe's networks."""
        return Scene(self.outputs(recipe, gallery), self.outputs(recipe, queries), self.words)

    def scene_of(self, arm: Arm, *, gallery: str = "train", queries: str = "val") -> Scene:
        """Return a scene as an arm needs it: what projects its label vectors is counted on all fold scenes."""
        scene = self.scene(arm.recipe, gallery=gallery, queries=queries)
        if not arm.projected:
            return scene
        known = [fold.queries for fold in self.fold_scenes(arm.recipe)]
        return replace(scene, confusion=confusion_for(scene.queries, known))

    def fold_source(self, recipe: str) -> str:
        """Return the recipe whose fold scenes speak for one: its own where it has folds, else the frozen features."""
        return recipe if RECIPES[recipe].folds else FROZEN.name

    def fold_scenes(self, recipe: str, *, view: View = View.PLAIN) -> list[Scene]:
        """Return a scene a held-out look: by networks trained without it where the recipe says so, else a probe.

        `view` is what the networks see of queries and gallery; they are trained on all views alike.
        """
        source = self.fold_source(recipe)
        if (source, view) not in self._scenes:
            if RECIPES[source].folds:
                scenes = [self._trained_fold(source, number, view=view) for number in RECIPES[source].folds]
            else:
                seen = None if view is View.PLAIN else self.outputs(source, "train", view=view)
                scenes = probe_scenes(self.outputs(source, "train"), self.fold, self.words, view=seen)
            self._scenes[source, view] = scenes
        return self._scenes[source, view]

    def fold_settings(self, recipe: str) -> object:
        """Return what the fold scenes of a recipe depend on: the held-out looks and what their networks are made of."""
        source = RECIPES[self.fold_source(recipe)]
        variants = [self._fold_variant(number) for number in source.folds] or [self.shared.train]
        return [self.fold.tolist(), *(ingredients(source, self.shared, variant) for variant in variants)]

    def chosen(self, arm: Arm) -> Chosen:
        """Return what folds choose for an arm, at the temperature of the plain logits.

        A probe's temperature says nothing of another network. So for one without folds of its own it stays 1 from the
        beginning, and weight and threshold are chosen there.
        """
        if arm.name not in self._chosen:
            console.print(f"[dim]{arm.name}: choosing by folds of train[/dim]", highlight=False)
            self._chosen[arm.name] = choose(
                arm, self.fold_scenes(arm.recipe), temperature=None if self._has_folds(arm) else 1.0
            )
        return self._chosen[arm.name]

    def choice(self, arm: Arm) -> Choice:
        """Return the choice as it is applied to the exported networks, in which a temperature may be already.

        A network without folds of its own keeps the temperature of its training.
        """
        choice = self.chosen(arm).choice
        if not self._has_folds(arm):
            return choice
        return replace(choice, temperature=choice.temperature / self.prepared(arm.recipe).temperature)

    def measure(self, name: str) -> Measured:
        """Search the training photos for every `val` photo with one arm."""
        if name not in self._measured:
            arm = self.arm(name)
            scene, choice = self.scene_of(arm), self.choice(arm)
            ranked = search(arm, scene, choice)
            self._measured[name] = Measured(arm, self.chosen(arm), ranked, figures(ranked, scene), len(scene.gallery))
        return self._measured[name]

    def camera_to_catalog(self, name: str) -> Figures:
        """Search the iconic pictures for every `val` photo with one arm."""
        arm = self.arm(name)
        scene = self.scene_of(arm, gallery="iconic")
        return figures(search(arm, scene, self.choice(arm)), scene)

    def unseen(self, recipe: Recipe) -> ClusterScore:
        """Top-4 accuracy on labels that the recipe's networks were not trained on."""
        outputs = [self.outputs(FROZEN.name, split) for split in ("train", "val")]
        if recipe != FROZEN:  # which was trained on no label at all
            repository = prepare(recipe, self.shared, self.unseen_variant()).repository
            outputs = [outputs_of(repository, self.shared.catalog, [split]) for split in ("train", "val")]
        vectors = np.concatenate([one.embedding for one in outputs])
        return unseen_clusters(vectors, [label for one in outputs for label in one.truth])

    def unseen_variant(self) -> Variant:
        """Return the training split without the labels that the protocol of unseen clusters keeps apart."""
        rows = load_catalog(self.shared.catalog, splits=["train", "val"]).products
        return unseen_variant(self.shared, unseen_labels([row.label or "" for row in rows]))

    def _has_folds(self, arm: Arm) -> bool:
        """Whether the fold scenes of an arm are of its own networks (or of the frozen features, whose probe is one)."""
        return self.fold_source(arm.recipe) == arm.recipe

    def _fold_variant(self, number: int) -> Variant:
        return fold_variant(self.shared, self.fold.tolist(), number, looks=LOOKS)

    def _trained_fold(self, recipe: str, number: int, *, view: View) -> Scene:
        variant = self._fold_variant(number)
        made = prepare(RECIPES[recipe], self.shared, variant)
        held = outputs_of(made.repository, variant.catalog, [variant.held], view=view)
        rows = outputs_of(made.repository, variant.catalog, variant.split.split(","), view=view)
        return Scene(rows, held.at_temperature(1 / made.temperature), self.words)
