"""Command line options in, pictures and a backbone out: what the verbs `classifier` and `embedder` share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from catalog.errors import MalformedError, OutOfRangeError
from training.augment import STRENGTHS
from training.backbones import SMALL, Backbone, file_backbone, named_backbone
from training.data import PictureSet, concatenate, load_pictures
from training.loop import LoopSettings
from training.preprocessing import PRESETS, ChannelOrder, Preprocessing
from training.runs import read_run
from training.sample_views import CACHE, sample_views

# Stored pictures are this much larger than the network's, so that a random crop keeps its sharpness.
_SPARE = 1.25


def add_data_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add where the pictures come from."""
    parser.add_argument(
        "--catalog",
        type=Path,
        action="append",
        required=required,
        help="catalog or query file; may be given several times",
    )
    parser.add_argument("--split", help="train on rows of these splits, for example train,gallery (default: all rows)")
    parser.add_argument("--val-split", help="rows to measure on after each epoch (default: none)")
    parser.add_argument(
        "--sample-views",
        type=int,
        default=0,
        metavar="N",
        help="draw N fresh camera photos of each product of the sample shop",
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for drawn photos (default {CACHE})")


def add_backbone_options(parser: argparse.ArgumentParser) -> None:
    """Add which network to start from and what it wants as input."""
    parser.add_argument("--backbone", help="small (default) or a torchvision name, for example resnet50")
    parser.add_argument(
        "--pretrained", choices=("imagenet", "none"), default="imagenet", help="weights of a torchvision name"
    )
    parser.add_argument("--weights", type=Path, help="any image network as an ONNX file")
    parser.add_argument("--init", type=Path, metavar="RUN", help="start from the backbone of another run")
    parser.add_argument(
        "--features", help="tensor of the ONNX file to use (default: its first output, or what is known of it)"
    )
    parser.add_argument("--size-px", type=int, help="picture size for an ONNX file that takes any")
    parser.add_argument("--preprocess", choices=tuple(PRESETS), help="how pixels become the ONNX file's input")
    parser.add_argument("--input-order", choices=[order.value for order in ChannelOrder], help="overrides --preprocess")
    parser.add_argument("--mean", help="three numbers, for example 104,117,123; overrides --preprocess")
    parser.add_argument("--std", help="three numbers, for example 1,1,1; overrides --preprocess")
    parser.add_argument("--scale", type=float, help="factor on pixels before mean and std; overrides --preprocess")
    parser.add_argument(
        "--power", type=float, default=1.0, help="power of the backbone's features; 0.5 is the square root"
    )


def add_loop_options(parser: argparse.ArgumentParser, *, epochs: int, batch: int, rate: float) -> None:
    """Add how long and how to train."""
    parser.add_argument("--epochs", type=int, default=epochs, help=f"default {epochs}")
    parser.add_argument(
        "--half-size-epochs",
        type=int,
        default=0,
        help="so many of the first epochs on pictures of half the side, four times as fast; end with some at full size",
    )
    parser.add_argument("--batch", type=int, default=batch, help=f"pictures a step (default {batch})")
    parser.add_argument(
        "--augment", choices=tuple(STRENGTHS), default="full", help="how far pictures are changed (default full)"
    )
    parser.add_argument("--lr", type=float, default=rate, help=f"learning rate at its highest (default {rate})")
    parser.add_argument("--weight-decay", type=float, default=0.02, help="default 0.02")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds and threads give equal checkpoints on a CPU")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--out", type=Path, required=True, help="run folder to make, for example runs/classifier")


def loop_settings(options: argparse.Namespace) -> LoopSettings:
    """Read the options of `add_loop_options`."""
    _check_device(options.device)
    return LoopSettings(
        epochs=options.epochs,
        half_size_epochs=options.half_size_epochs,
        batch=options.batch,
        learning_rate=options.lr,
        weight_decay=options.weight_decay,
        seed=options.seed,
        device=options.device,
        augmentation=STRENGTHS[options.augment],
    )


def choose_backbone(options: argparse.Namespace) -> Backbone:
    """Make the backbone asked for by --backbone, --weights or --init, at most one of which may be given."""
    given = [name for name in ("backbone", "weights", "init") if getattr(options, name) is not None]
    if len(given) > 1:
        raise MalformedError(f"--{given[0]} and --{given[1]} exclude each other; give one of them")
    if options.init is not None:
        run = read_run(options.init)
        file = run.folder / "backbone.onnx"
        return Backbone(run.record.backbone, run.network.backbone, file if file.is_file() else None)
    if options.weights is not None:
        return file_backbone(
            options.weights, features=options.features, size_px=options.size_px, preprocessing=_preprocessing(options)
        )
    return named_backbone(options.backbone or SMALL, pretrained=options.pretrained != "none")


def training_pictures(options: argparse.Namespace, *, size_px: int, spare: bool) -> PictureSet:
    """Load the training pictures; with `spare` they are larger than `size_px` so that crops stay sharp."""
    stored_px = round(size_px * _SPARE) if spare else size_px
    parts = [load_pictures(options.catalog, splits=_splits(options.split), size_px=stored_px)]
    if options.sample_views:
        if options.sample_views < 0:
            raise OutOfRangeError(f"--sample-views is {options.sample_views}, at least 0 is needed")
        views = sample_views(options.catalog[0], views=options.sample_views, size_px=stored_px, cache=options.cache)
        parts.append(views)
    return concatenate(parts)


def held_out(options: argparse.Namespace, *, size_px: int) -> PictureSet | None:
    """Load the pictures of --val-split at the network's size."""
    if options.val_split is None:
        return None
    return load_pictures(options.catalog, splits=_splits(options.val_split), size_px=size_px)


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


def _splits(text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def _check_device(device: str) -> None:
    import torch

    if device not in ("cpu", "cuda"):
        raise OutOfRangeError(f"--device is '{device}', known are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise OutOfRangeError("--device is cuda, but torch sees no GPU here; use cpu")
