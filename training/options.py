"""Options of the verbs in, the settings they stand for out: each is added and read in one place, here.

Pictures and backbones are made of them by `training.inputs`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.errors import MalformedError, OutOfRangeError
from training.augment import STRENGTHS
from training.averaging import Averaging
from training.classifier import LabelSettings
from training.embedder import ClusterSettings
from training.frozen import Border
from training.loop import LoopSettings, Precision
from training.losses import LossName, MetricLoss, Mining
from training.mixing import Mixing
from training.poolings import Pooling
from training.preprocessing import PRESETS, ChannelOrder
from training.rates import Schedule
from training.sample_views import CACHE
from training.tuning import Tuning


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
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help=f"folder for drawn photos and cached views (default {CACHE})"
    )


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
    parser.add_argument("--stages", help="four tensors of the ONNX file to pool or freeze at, for example a,b,c,d")
    parser.add_argument("--size-px", type=int, help="picture size (default: the network's own)")
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
    parser.add_argument("--weight-decay", type=float, default=0.02, help="of matrices and filters (default 0.02)")
    parser.add_argument(
        "--schedule",
        choices=[schedule.value for schedule in Schedule],
        default=Schedule.COSINE.value,
        help="what the learning rate does after its warm-up (default cosine)",
    )
    parser.add_argument("--warm-up", type=float, default=0.05, help="share of all steps (default 0.05)")
    parser.add_argument(
        "--head-lr-factor",
        type=float,
        default=1.0,
        help="learning rate of the head over that of the backbone; 10 suits a trained backbone (default 1)",
    )
    parser.add_argument(
        "--pull",
        type=float,
        default=0.0,
        help="pull the backbone toward its starting weights, in place of weight decay; 1 is moderate (default 0)",
    )
    parser.add_argument(
        "--mixing",
        choices=[mixing.value for mixing in Mixing],
        default=Mixing.NONE.value,
        help="lay two pictures and their labels over each other; both: one way or the other (default none)",
    )
    parser.add_argument(
        "--mixing-alpha", type=float, help="of the shares' Beta distribution, 1 is even (default: mixup 0.4, cutmix 1)"
    )
    parser.add_argument(
        "--average",
        choices=[averaging.value for averaging in Averaging],
        default=Averaging.NONE.value,
        help="keep an average of the weights: ema over recent steps, swa over the last quarter (default none)",
    )
    parser.add_argument(
        "--average-decay", type=float, default=0.998, help="with ema: share that the past keeps a step (default 0.998)"
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds and threads give equal checkpoints on a CPU")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--precision",
        choices=[precision.value for precision in Precision],
        default=Precision.FP32.value,
        help="bf16: forward passes in bfloat16, on cuda only (default fp32)",
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder to make, for example runs/classifier")


def loop_settings(options: argparse.Namespace) -> LoopSettings:
    """Read the options of `add_loop_options`."""
    _check_device(options.device)
    if options.seed < 0:
        raise OutOfRangeError(f"--seed is {options.seed}, at least 0 is needed")
    return LoopSettings(
        epochs=options.epochs,
        half_size_epochs=options.half_size_epochs,
        batch=options.batch,
        learning_rate=options.lr,
        weight_decay=options.weight_decay,
        seed=options.seed,
        device=options.device,
        augmentation=STRENGTHS[options.augment],
        mixing=Mixing(options.mixing),
        mixing_alpha=options.mixing_alpha,
        average=Averaging(options.average),
        average_decay=options.average_decay,
        schedule=Schedule(options.schedule),
        warm_up=options.warm_up,
        head_lr_factor=options.head_lr_factor,
        pull=options.pull,
        precision=Precision(options.precision),
    )


def _check_device(device: str) -> None:
    import torch

    if device not in ("cpu", "cuda"):
        raise OutOfRangeError(f"--device is '{device}', known are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise OutOfRangeError("--device is cuda, but torch sees no GPU here; use cpu")


def add_tuning_options(parser: argparse.ArgumentParser) -> None:
    """Add how much of the network learns, and when."""
    parser.add_argument(
        "--freeze",
        choices=[border.value for border in Border],
        default=Border.NONE.value,
        help="leave the layers up to here as they are; with backbone only the heads learn (default none)",
    )
    parser.add_argument(
        "--cached-views",
        type=int,
        default=0,
        metavar="K",
        help="compute the frozen layers once, for K augmented views of each picture; 0: at every step (default 0)",
    )
    parser.add_argument(
        "--steps", choices=("one", "two"), default="one", help="two: frozen at first (stage1), then all layers"
    )
    parser.add_argument("--first-epochs", type=int, help="with --steps two: of --epochs, so many (default: half)")
    parser.add_argument("--second-lr", type=float, help="with --steps two: learning rate after them (default: --lr)")


def tuning(options: argparse.Namespace) -> Tuning:
    """Read the options of `add_tuning_options`."""
    first = 0
    if options.steps == "two":
        first = options.epochs // 2 if options.first_epochs is None else options.first_epochs
        if not 0 < first < options.epochs:
            raise OutOfRangeError(
                f"--steps two with --first-epochs {first} of {options.epochs} epochs; both steps need at least one"
            )
    elif options.first_epochs is not None or options.second_lr is not None:
        raise MalformedError("--first-epochs and --second-lr need --steps two")
    return Tuning(
        border=Border(options.freeze),
        cached_views=options.cached_views,
        first_epochs=first,
        second_rate=options.second_lr,
        cache=options.cache,
    )


def add_label_options(parser: argparse.ArgumentParser, *, views_option: str) -> None:
    """Add how labels are learned and how sure the network may claim to be."""
    parser.add_argument("--label-smoothing", type=float, default=0.1, help="0 to below 1 (default 0.1)")
    parser.add_argument(
        "--levels", choices=("fine", "two"), default="fine", help="two: learn the second level of category_path as well"
    )
    parser.add_argument("--coarse-column", help="with --levels two: the column to learn in its place")
    parser.add_argument("--coarse-weight", type=float, default=0.5, help="with --levels two: weight (default 0.5)")
    parser.add_argument(
        views_option,
        dest="head_views",
        type=int,
        default=0,
        help="with --freeze backbone: augmented views more of each picture, for the labels' layer (default 0)",
    )
    parser.add_argument(
        "--penalty",
        type=float,
        default=1e-5,
        help="with --freeze backbone: penalty on squared weights of the labels' layer (default 1e-5)",
    )
    parser.add_argument("--calibrate-split", help="set the temperature of the probabilities on rows of these splits")
    parser.add_argument(
        "--calibrate-share",
        type=float,
        default=0.0,
        help="set it on the last rows of each label instead, this share of them, and do not train on those",
    )


def label_settings(options: argparse.Namespace) -> LabelSettings:
    """Read the options of `add_label_options`."""
    if options.levels == "two" and not options.coarse_weight > 0:
        raise OutOfRangeError(f"--coarse-weight is {options.coarse_weight}, --levels two needs one above 0")
    return LabelSettings(
        label_smoothing=options.label_smoothing,
        coarse_weight=options.coarse_weight if options.levels == "two" else 0.0,
        views=options.head_views,
        penalty=options.penalty,
        calibrate_share=options.calibrate_share,
    )


def add_cluster_options(parser: argparse.ArgumentParser, *, loss: LossName, labels_a_batch: int, pooling: str) -> None:
    """Add what the embedding is made of and how clusters are learned."""
    parser.add_argument(
        "--dim", type=int, default=128, help="length of the embedding; 0: what lies below its layer (default 128)"
    )
    parser.add_argument(
        "--pooling",
        choices=(*(pooling.value for pooling in Pooling), "none"),
        default=pooling,
        help=f"embed four stages, pooled so, or with none the backbone's features (default {pooling})",
    )
    parser.add_argument(
        "--clusters", choices=("cluster", "label"), default="cluster", help="column that says what belongs together"
    )
    parser.add_argument(
        "--loss", choices=[loss.value for loss in LossName], default=loss.value, help=f"default {loss.value}"
    )
    parser.add_argument(
        "--margin",
        type=float,
        help="of the loss, in cosine distance (default: hinge 0.5, triplet 0.2, proxy 0.1)",
    )
    parser.add_argument("--metric-temperature", type=float, help="of the loss (default: supcon 0.1, proxy 0.05)")
    parser.add_argument(
        "--mining",
        choices=[mining.value for mining in Mining],
        help="which negatives count: triplet semi-hard (its default) or hard, hinge all (its default) or hard",
    )
    parser.add_argument("--views", type=int, default=4, help="pictures of each cluster in a step (default 4)")
    parser.add_argument(
        "--labels-a-batch",
        type=int,
        default=labels_a_batch,
        help=f"kinds of product in a step, 0 for any (default {labels_a_batch})",
    )


def cluster_settings(options: argparse.Namespace) -> ClusterSettings:
    """Read how clusters are learned from the options of `add_cluster_options`."""
    return ClusterSettings(
        loss=MetricLoss(
            LossName(options.loss),
            margin=options.margin,
            mining=Mining(options.mining) if options.mining else None,
            temperature=options.metric_temperature,
        ),
        views=options.views,
        labels_a_batch=options.labels_a_batch,
    )


def pooling(options: argparse.Namespace) -> Pooling | None:
    """Read --pooling."""
    return None if options.pooling == "none" else Pooling(options.pooling)
