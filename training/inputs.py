"""Options as read from the command line in; pictures, a backbone and notes for `run.json` out."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from catalog.errors import MalformedError, OutOfRangeError
from training.backbones import ONNX_FILE, SMALL, Backbone, file_backbone, named_backbone
from training.data import PictureSet, clustered_by_label, concatenate, load_pictures
from training.preprocessing import PRESETS, ChannelOrder, Preprocessing
from training.runs import read_run
from training.sample_views import sample_views
from training.stages import STAGES

# Stored pictures are this much larger than the network's, so that a random crop keeps its sharpness.
_SPARE = 1.25


@dataclass(frozen=True)
class HeldOut:
    """Pictures at the network's size that are not trained on; None where no split is named."""

    validation: PictureSet | None = None
    gallery: PictureSet | None = None
    calibration: PictureSet | None = None


def choose_backbone(options: argparse.Namespace) -> Backbone:
    """Make the backbone asked for by --backbone, --weights or --init, at most one of which may be given."""
    given = [name for name in ("backbone", "weights", "init") if getattr(options, name) is not None]
    if len(given) > 1:
        raise MalformedError(f"--{given[0]} and --{given[1]} exclude each other; give one of them")
    if options.init is not None:
        return _backbone_of_run(options.init, size_px=options.size_px)
    if options.weights is not None:
        stages = _names(options.stages)
        if stages is not None and len(stages) != STAGES:
            raise MalformedError(f"--stages names {len(stages)} tensors, expected {STAGES}")
        return file_backbone(
            options.weights,
            features=options.features,
            size_px=options.size_px,
            preprocessing=_preprocessing(options),
            stages=stages,
        )
    return named_backbone(options.backbone or SMALL, pretrained=options.pretrained != "none", size_px=options.size_px)


def training_pictures(options: argparse.Namespace, *, size_px: int, spare: bool) -> PictureSet:
    """Load the training pictures; with `spare` they are larger than `size_px` so that crops stay sharp."""
    stored_px = round(size_px * _SPARE) if spare else size_px
    parts = [_load(options, options.split, size_px=stored_px)]
    if options.sample_views:
        if options.sample_views < 0:
            raise OutOfRangeError(f"--sample-views is {options.sample_views}, at least 0 is needed")
        views = sample_views(options.catalog[0], views=options.sample_views, size_px=stored_px, cache=options.cache)
        parts.append(views)
    return clustered(concatenate(parts), options)


def held_out_pictures(options: argparse.Namespace, *, size_px: int) -> HeldOut:
    """Load the pictures of --calibrate-split, --val-split and --gallery-split, of which a verb need not have all.

    Meant to come before the training pictures, which take longest: a split without rows is known at once. Raises
    `MalformedError` for such a split, and for calibration pictures that would be trained on too.
    """
    calibration = _calibration_pictures(options, size_px=size_px)
    validation, gallery = (
        clustered(_load(options, split, size_px=size_px), options) if split is not None else None
        for split in (options.val_split, getattr(options, "gallery_split", None))
    )
    return HeldOut(validation=validation, gallery=gallery, calibration=calibration)


def clustered(pictures: PictureSet, options: argparse.Namespace) -> PictureSet:
    """Return the pictures with the clusters that --clusters asks for."""
    return clustered_by_label(pictures) if getattr(options, "clusters", "") == "label" else pictures


def notes_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as given, for `run.json`; of paths the last two parts, which mean something elsewhere too."""
    notes: dict[str, Any] = {}
    for name, value in sorted(vars(options).items()):
        paths = value if isinstance(value, list) else [value]
        if all(isinstance(path, Path) for path in paths):
            notes[name] = ", ".join("/".join(path.parts[-2:]) for path in paths)
        elif value is not None and not callable(value):
            notes[name] = value
    return notes


def _calibration_pictures(options: argparse.Namespace, *, size_px: int) -> PictureSet | None:
    wanted = _names(getattr(options, "calibrate_split", None))
    if wanted is None:
        return None
    if options.calibrate_share:
        raise MalformedError("--calibrate-split and --calibrate-share exclude each other; give one of them")
    trained = _names(options.split)
    if trained is None or set(trained) & set(wanted):
        raise MalformedError(
            f"--calibrate-split {options.calibrate_split} is trained on too (--split is "
            f"{options.split or 'not given, so all rows are'}); name splits that --split leaves out"
        )
    return _load(options, options.calibrate_split, size_px=size_px)


def _load(options: argparse.Namespace, split: str | None, *, size_px: int) -> PictureSet:
    column = getattr(options, "coarse_column", None)
    return load_pictures(options.catalog, splits=_names(split), size_px=size_px, coarse_column=column)


def _backbone_of_run(folder: Path, *, size_px: int | None) -> Backbone:
    """Return the backbone of a run of any kind, for pictures of another size where it pools globally."""
    run = read_run(folder)
    file = folder / ONNX_FILE
    spec = run.record.backbone
    if size_px is not None and size_px != spec.size_px:
        if size_px < 1:
            raise OutOfRangeError(f"--size-px is {size_px}, at least 1 is needed")
        try:
            with torch.no_grad():
                fits = run.network.features(torch.zeros(1, 3, size_px, size_px)).shape[1] == spec.dim
        except RuntimeError:  # of the first layer whose sizes do not fit
            fits = False
        if not fits:
            raise OutOfRangeError(f"--size-px is {size_px}, the network of {folder} takes {spec.size_px}")
        spec = spec.model_copy(update={"size_px": size_px})
    return Backbone(spec, run.network.backbone, file if file.is_file() else None)


def _preprocessing(options: argparse.Namespace) -> Preprocessing | None:
    preset = PRESETS[options.preprocess] if options.preprocess else None
    changes: dict[str, Any] = {}
    if options.input_order is not None:
        changes["order"] = ChannelOrder(options.input_order)
    for name in ("mean", "std"):
        if (text := getattr(options, name)) is not None:
            changes[name] = _three(text, option=f"--{name}")
    if options.scale is not None:
        changes["scale"] = options.scale
    if not changes:
        return preset
    plain = Preprocessing(ChannelOrder.RGB, 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return replace(preset or plain, **changes)


def _three(text: str, *, option: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError as error:
        raise MalformedError(f"{option} is '{text}', expected three numbers such as 104,117,123") from error
    return first, second, third


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None
