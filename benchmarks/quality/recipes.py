"""The one table of training and export commands behind every figure of retrieval quality."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.quality.preparing import Recipe, Step

_FROZEN = "--weights {weights} --power 0.5"
_DATA = "--catalog {catalog} --split {split}"
# Trained networks see the catalog's own pictures as well, as a shop's would.
_TUNED = "--weights {weights} --catalog {catalog} --split {split},iconic"
# Through inception_3b the network stays as it is and runs once, for four views of each picture: the training above it
# is four times as fast. All recipes share what is cached.
_ABOVE = "--freeze stage2 --cached-views 4 --lr 3e-4 --head-lr-factor 10 --weight-decay 0.05 --threads 2"

WORDS = Recipe(
    "words",
    (
        Step(
            "{train_run}-words/words.json",
            "training words --catalog {products} --catalog {train_catalog} --out {train_run}-words",
        ),
    ),
)

FROZEN = Recipe(
    "frozen",
    (
        Step(
            "{train_run}-embedder/run.json",
            f"training embedder {_FROZEN} --head none --epochs 0 --out {{train_run}}-embedder",
        ),
        Step(
            "{run}-classifier/run.json",
            f"training classifier {_FROZEN} --freeze backbone {_DATA} --out {{run}}-classifier",
        ),
        Step(
            "{run}-models/embedder/config.pbtxt",
            "export embedder --checkpoint {train_run}-embedder --repository {run}-models",
        ),
        Step(
            "{run}-models/classifier/config.pbtxt",
            "export classifier --checkpoint {run}-classifier --repository {run}-models",
        ),
    ),
    repository="{run}-models",
    record="{run}-classifier/run.json",
)

# A classifier tuned plainly, which the embedders below begin from.
_CLASSIFIER = Step(
    "{run}-tuned-classifier/run.json",
    f"training classifier {_TUNED} {_ABOVE} --epochs 4 --batch 32 --out {{run}}-tuned-classifier",
)
_EMBEDDER = (
    "training embedder --init {run}-tuned-classifier --catalog {catalog} --split {split},iconic --clusters label"
)


def _pair(name: str, embedder: str, flags: str, *, folds: tuple[int, ...] = ()) -> Recipe:
    """The tuned classifier and an embedder of its own, two networks in one repository."""
    models = f"{{run}}-{name}-models"
    return Recipe(
        name,
        (
            _CLASSIFIER,
            Step(f"{embedder}/run.json", f"{_EMBEDDER} {flags} --out {embedder}"),
            Step(
                f"{models}/classifier/config.pbtxt",
                f"export classifier --checkpoint {{run}}-tuned-classifier --repository {models}",
            ),
            Step(f"{models}/embedder/config.pbtxt", f"export embedder --checkpoint {embedder} --repository {models}"),
        ),
        repository=models,
        record="{run}-tuned-classifier/run.json",
        folds=folds,
    )


# As published: four stages of the classifier, pooled (SAM), a linear layer to 128-d, hinge losses on cosine distance
# (Kim et al.). The classifier's layers stay as they are.
PUBLISHED = _pair(
    "published",
    "{run}-published-embedder",
    "--freeze backbone --cached-views 2 --pooling sam --dim 128 --loss hinge --epochs 10 --batch 96 --lr 2e-3 "
    "--head-lr-factor 1 --labels-a-batch 0 --threads 2",
    folds=(1,),
)

# The strongest pair we trained apart: the embedder's upper layers learn too, and its features are the vector.
SEPARATE = _pair(
    "separate",
    "{run}-tuned-embedder",
    f"--dim 0 --pooling none {_ABOVE} --epochs 4 --batch 48 --labels-a-batch 0",
)


def _fused(name: str, flags: str, *, folds: tuple[int, ...] = ()) -> Recipe:
    """One network for both answers, under its own name."""
    out = f"{{run}}-{name}"
    return Recipe(
        name,
        (
            Step(
                f"{out}/run.json",
                f"training fused {_TUNED} --clusters label {flags} --out {out}",
            ),
            Step(
                f"{out}-models/photo/config.pbtxt",
                f"export fused --checkpoint {out} --repository {out}-models",
            ),
        ),
        repository=f"{out}-models",
        record=f"{out}/run.json",
        folds=folds,
    )


# Ours: the label's loss alone shapes the features, which are the embedding; mixed pictures keep it from learning the
# training photos by heart (99 % right there without).
FUSED = _fused(
    "fused",
    f"{_ABOVE} --epochs 7 --batch 32 --views 2 --metric-weight 0 --dim 0 --pooling none --mixing both "
    "--average ema --average-decay 0.99",
    folds=(1,),
)

# Table II of the cluster paper: poolings of the four stages, trained above a frozen border on cached views.
_HEAD_ONLY = "--freeze backbone --cached-views 2 --epochs 10 --lr 2e-3 --head-lr-factor 1 --threads 2"
POOLING_RECIPES: Mapping[str, Recipe] = {
    pooling: _fused(f"fused-{pooling}", f"{_HEAD_ONLY} --pooling {pooling}") for pooling in ("ga", "sap", "sam", "none")
}

# The losses of metric learning over one head of 128, pooling GA: all else, the cached views too, as above.
LOSS_RECIPES: Mapping[str, Recipe] = {
    "hinge": POOLING_RECIPES["ga"],  # which hinge is the default of
    **{
        name: _fused(f"fused-loss-{name}", f"{_HEAD_ONLY} --pooling ga --dim 128 --loss {loss}")
        for name, loss in (
            ("hinge-hard", "hinge --mining hard"),
            ("triplet", "triplet"),
            ("multi-similarity", "multi-similarity"),
            ("supcon", "supcon"),
            ("proxy", "proxy"),
        )
    },
}

# Table I of the cluster paper, small: one step trains all layers at once; two steps begin with the first four frozen.
_SMALL_STEP = (
    "training classifier --weights {weights} --size-px 112 --epochs 5 --batch 32 --lr 3e-4 --head-lr-factor 10 "
    "--val-split val --seed {seed} --threads 2"
)
STUDY_RECIPES: Mapping[str, Recipe] = {
    f"{steps}-{data}": Recipe(
        f"{steps}-{data}",
        (
            Step(
                f"{{run}}-study/{steps}-{data}-{{seed}}/run.json",
                f"{_SMALL_STEP} --catalog {catalog} --split train{flags} --out {{run}}-study/{steps}-{data}-{{seed}}",
            ),
        ),
        record=f"{{run}}-study/{steps}-{data}-{{seed}}/run.json",
    )
    for data, catalog in (("grocery", "{train_catalog}"), ("clothing", "{clothing}"))
    for steps, flags in (("one-step", ""), ("two-step", " --steps two"))
}

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (WORDS, FROZEN, PUBLISHED, SEPARATE, FUSED)}
