"""Options of the loop and of what learns in, the settings they stand for out."""

from __future__ import annotations

import argparse

from catalog.errors import MalformedError, OutOfRangeError
from training.augment import STRENGTHS
from training.averaging import Averaging
from training.frozen import Border
from training.mixing import Mixing
from training.options import starts_trained
from training.rates import Schedule
from training.settings import LoopSettings, Precision
from training.tuning import Tuning

# What suits weights that are good already: they should move little, their new head should not.
_TRAINED_RATE, _TRAINED_HEAD_FACTOR = 3e-4, 10.0


def add_loop_options(parser: argparse.ArgumentParser, *, epochs: int, batch: int, rate: float) -> None:
    """Add how long and how to train; `rate` is the learning rate for a backbone from scratch."""
    group = parser.add_argument_group("loop", "how long, on what and where to train")
    group.add_argument("--epochs", type=int, default=epochs, help=f"default {epochs}")
    group.add_argument(
        "--half-size-epochs",
        type=int,
        default=0,
        help="so many of the first epochs on pictures of half the side, four times as fast; end with some at full size",
    )
    group.add_argument("--batch", type=int, default=batch, help=f"pictures a step (default {batch})")
    group.add_argument(
        "--augment", choices=tuple(STRENGTHS), default="full", help="how far pictures are changed (default full)"
    )
    group.add_argument("--seed", type=int, default=0, help="equal seeds and threads give equal checkpoints on a CPU")
    group.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    group.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    group.add_argument(
        "--precision",
        choices=[precision.value for precision in Precision],
        default=Precision.FP32.value,
        help="bf16: forward passes in bfloat16, on cuda only (default fp32)",
    )
    _add_rate_options(parser, rate=rate)
    _add_mixing_options(parser)
    _add_averaging_options(parser)


def settle_rates(options: argparse.Namespace, *, rate: float) -> None:
    """Put numbers where --lr and --head-lr-factor were not given, so that `run.json` tells them too.

    A backbone from scratch learns at `rate`, as fast as its head; a trained one slowly, below a head that does not.
    """
    trained = starts_trained(options)
    if options.lr is None:
        options.lr = _TRAINED_RATE if trained else rate
    if options.head_lr_factor is None:
        options.head_lr_factor = _TRAINED_HEAD_FACTOR if trained else 1.0


def loop_settings(options: argparse.Namespace) -> LoopSettings:
    """Read the options of `add_loop_options`, once `settle_rates` has seen them."""
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


def add_tuning_options(parser: argparse.ArgumentParser) -> None:
    """Add how much of the network learns, and when."""
    group = parser.add_argument_group("what learns", "all layers, or those above a border")
    group.add_argument(
        "--freeze",
        choices=[border.value for border in Border],
        default=Border.NONE.value,
        help="leave the layers up to here as they are; with backbone only the heads learn (default none)",
    )
    group.add_argument(
        "--cached-views",
        type=int,
        default=0,
        metavar="K",
        help="compute the frozen layers once, for K augmented views of each picture; 0: at every step (default 0)",
    )
    group.add_argument(
        "--steps", choices=("one", "two"), default="one", help="two: frozen at first (stage1), then all layers"
    )
    group.add_argument("--first-epochs", type=int, help="with --steps two: of --epochs, so many (default: half)")
    group.add_argument(
        "--second-lr",
        type=float,
        help="with --steps two: learning rate after them, with a schedule of its own (default: --lr goes on)",
    )


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


def _add_rate_options(parser: argparse.ArgumentParser, *, rate: float) -> None:
    group = parser.add_argument_group(
        "rates", "how fast to learn; trained weights are those of --weights, --init and a pretrained --backbone"
    )
    group.add_argument(
        "--lr",
        type=float,
        help=f"learning rate at its highest (default {rate}, from trained weights {_TRAINED_RATE})",
    )
    group.add_argument(
        "--head-lr-factor",
        type=float,
        help="learning rate of the head over that of the backbone "
        f"(default 1, from trained weights {_TRAINED_HEAD_FACTOR:g})",
    )
    group.add_argument(
        "--schedule",
        choices=[schedule.value for schedule in Schedule],
        default=Schedule.COSINE.value,
        help="what the learning rate does after its warm-up (default cosine)",
    )
    group.add_argument("--warm-up", type=float, default=0.05, help="share of all steps (default 0.05)")
    group.add_argument("--weight-decay", type=float, default=0.02, help="of matrices and filters (default 0.02)")
    group.add_argument(
        "--pull",
        type=float,
        default=0.0,
        help="pull the backbone toward its weights at the start (of each of --steps two), in place of weight decay; "
        "1 is moderate (default 0)",
    )


def _add_mixing_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("mixing", "two pictures and their labels in one")
    group.add_argument(
        "--mixing",
        choices=[mixing.value for mixing in Mixing],
        default=Mixing.NONE.value,
        help="lay two pictures and their labels over each other; both: one way or the other (default none)",
    )
    group.add_argument(
        "--mixing-alpha", type=float, help="of the shares' Beta distribution, 1 is even (default: mixup 0.4, cutmix 1)"
    )


def _add_averaging_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("averaging", "keep an average of the weights in place of the last ones")
    group.add_argument(
        "--average",
        choices=[averaging.value for averaging in Averaging],
        default=Averaging.NONE.value,
        help="keep an average of the weights: ema over recent steps, swa over the last quarter (default none)",
    )
    group.add_argument(
        "--average-decay", type=float, default=0.998, help="with ema: share that the past keeps a step (default 0.998)"
    )


def _check_device(device: str) -> None:
    import torch

    if device not in ("cpu", "cuda"):
        raise OutOfRangeError(f"--device is '{device}', known are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise OutOfRangeError("--device is cuda, but torch sees no GPU here; use cpu")
