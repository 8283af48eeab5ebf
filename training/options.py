"""Options of the verbs in, the settings they stand for out: each is added and read in one place.

Those of the loop are in `training.loop_options`; pictures and backbones are made by `training.inputs`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.errors import OutOfRangeError
from training.backbones import SMALL
from training.classifier import LabelSettings
from training.embedder import ClusterSettings
from training.losses import LossName, MetricLoss, Mining
from training.poolings import Pooling
from training.preprocessing import PRESETS, ChannelOrder
from training.sample_views import CACHE


def add_data_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add where the pictures come from and where the run goes."""
    group = parser.add_argument_group("data", "where pictures come from and the run goes")
    group.add_argument(
        "--catalog",
        type=Path,
        action="append",
        required=required,
        help="catalog or query file; may be given several times",
    )
    group.add_argument("--split", help="train on rows of these splits, for example train,gallery (default: all rows)")
    group.add_argument("--val-split", help="rows to measure on after each epoch (default: none)")
    group.add_argument(
        "--sample-views",
        type=int,
        default=0,
        metavar="N",
        help="draw N fresh camera photos of each product of the sample shop",
    )
    group.add_argument(
        "--cache", type=Path, default=CACHE, help=f"folder for drawn photos and cached views (default {CACHE})"
    )
    group.add_argument("--out", type=Path, required=True, help="run folder to make, for example runs/classifier")


def add_backbone_options(parser: argparse.ArgumentParser) -> None:
    """Add which network to start from and what it wants as input."""
    group = parser.add_argument_group("network", "what to start from, and what it wants as input")
    group.add_argument("--backbone", help="small (default) or a torchvision name, for example resnet50")
    group.add_argument(
        "--pretrained", choices=("imagenet", "none"), default="imagenet", help="weights of a torchvision name"
    )
    group.add_argument("--weights", type=Path, help="any image network as an ONNX file")
    group.add_argument("--init", type=Path, metavar="RUN", help="start from the backbone of another run")
    group.add_argument(
        "--features", help="tensor of the ONNX file to use (default: its first output, or what is known of it)"
    )
    group.add_argument("--stages", help="four tensors of the ONNX file to pool or freeze at, for example a,b,c,d")
    group.add_argument("--size-px", type=int, help="picture size (default: the network's own)")
    group.add_argument("--preprocess", choices=tuple(PRESETS), help="how pixels become the ONNX file's input")
    group.add_argument("--input-order", choices=[order.value for order in ChannelOrder], help="overrides --preprocess")
    group.add_argument("--mean", help="three numbers, for example 104,117,123; overrides --preprocess")
    group.add_argument("--std", help="three numbers, for example 1,1,1; overrides --preprocess")
    group.add_argument("--scale", type=float, help="factor on pixels before mean and std; overrides --preprocess")
    group.add_argument(
        "--power", type=float, default=1.0, help="power of the backbone's features; 0.5 is the square root"
    )


def starts_trained(options: argparse.Namespace) -> bool:
    """Return whether the options of `add_backbone_options` ask for a network that was trained before."""
    pretrained = options.backbone not in (None, SMALL) and options.pretrained != "none"
    return pretrained or options.weights is not None or options.init is not None


def add_label_options(parser: argparse.ArgumentParser, *, views_option: str) -> None:
    """Add how labels are learned and how sure the network may claim to be."""
    group = parser.add_argument_group("labels", "how labels are learned, and how sure the network may claim to be")
    group.add_argument("--label-smoothing", type=float, default=0.1, help="0 to below 1 (default 0.1)")
    group.add_argument(
        "--levels", choices=("fine", "two"), default="fine", help="two: learn the second level of category_path as well"
    )
    group.add_argument("--coarse-column", help="with --levels two: the column to learn in its place")
    group.add_argument("--coarse-weight", type=float, default=0.5, help="with --levels two: weight (default 0.5)")
    group.add_argument(
        views_option,
        dest="head_views",
        type=int,
        default=0,
        help="with --freeze backbone: augmented views more of each picture, for the labels' layer (default 0)",
    )
    group.add_argument(
        "--penalty",
        type=float,
        default=1e-5,
        help="with --freeze backbone: penalty on squared weights of the labels' layer (default 1e-5)",
    )
    group.add_argument("--calibrate-split", help="set the temperature of the probabilities on rows of these splits")
    group.add_argument(
        "--calibrate-share",
        type=float,
        default=0.0,
        help="set it on the last clusters of each label instead, a share of its rows, which are not trained on",
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


def add_cluster_options(
    parser: argparse.ArgumentParser, *, loss: LossName, labels_a_batch: int, pooling: str
) -> argparse._ArgumentGroup:
    """Add what the embedding is made of and how clusters are learned; return the group, for what a verb has more."""
    group = parser.add_argument_group("clusters", "what the embedding is made of, and how clusters are learned")
    group.add_argument(
        "--dim", type=int, default=128, help="length of the embedding; 0: what lies below its layer (default 128)"
    )
    group.add_argument(
        "--pooling",
        choices=(*(pooling.value for pooling in Pooling), "none"),
        default=pooling,
        help=f"embed four stages, pooled so, or with none the backbone's features (default {pooling})",
    )
    group.add_argument(
        "--clusters", choices=("cluster", "label"), default="cluster", help="column that says what belongs together"
    )
    group.add_argument(
        "--loss", choices=[loss.value for loss in LossName], default=loss.value, help=f"default {loss.value}"
    )
    group.add_argument(
        "--margin",
        type=float,
        help="of the loss, in cosine distance (default: hinge 0.5, triplet 0.2, proxy 0.1)",
    )
    group.add_argument("--metric-temperature", type=float, help="of the loss (default: supcon 0.1, proxy 0.05)")
    group.add_argument(
        "--mining",
        choices=[mining.value for mining in Mining],
        help="which negatives count: triplet semi-hard (its default) or hard, hinge all (its default) or hard",
    )
    group.add_argument("--views", type=int, default=4, help="pictures of each cluster in a step (default 4)")
    group.add_argument(
        "--labels-a-batch",
        type=int,
        default=labels_a_batch,
        help=f"kinds of product in a step, 0 for any (default {labels_a_batch})",
    )
    return group


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
