"""Verbs of export: `embedder` and `classifier` write a run into a model repository, as ONNX that Triton serves."""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.terminal import console, run_main
from export import contract

DEFAULT_REPOSITORY = Path("model_repository")


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for model in (contract.Model.EMBEDDER, contract.Model.CLASSIFIER):
        verb = verbs.add_parser(model.value, help=f"export a run as the model '{model.value}'")
        verb.add_argument("--checkpoint", type=Path, required=True, help=f"run folder, for example runs/{model.value}")
        verb.add_argument(
            "--repository",
            type=Path,
            default=DEFAULT_REPOSITORY,
            help=f"default {DEFAULT_REPOSITORY}/, made if missing",
        )
        verb.add_argument("--version", type=int, default=1, help="version beside which older ones stay (default 1)")
        verb.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="only fp32 so far")
        verb.add_argument(
            "--target", choices=("onnxruntime", "tensorrt"), default="onnxruntime", help="only onnxruntime"
        )
    options = parser.parse_args(arguments)
    return _export(options)


def _export(options: argparse.Namespace) -> int:
    from catalog.errors import OutOfRangeError
    from export.graphs import export_run

    if options.target != "onnxruntime":
        raise OutOfRangeError(f"--target is {options.target}, only onnxruntime is built so far")
    exported = export_run(
        options.checkpoint,
        options.repository,
        model=contract.Model(options.verb),
        version=options.version,
        precision=options.precision,
    )
    folder = options.repository / options.verb / str(options.version)
    console.print(
        f"exported {folder / 'model.onnx'}: {exported.onnx_bytes / 1e6:.1f} MB, "
        f"cosine to torch {exported.cosine:.6f}, space {exported.description.space_id}",
        soft_wrap=True,
    )
    _join(options.repository)
    return 0


def _join(repository: Path) -> None:
    """Write the ensemble once both networks are there; until then say what is missing."""
    missing = [
        name.value for name in contract.NETWORK_OUTPUTS if not (repository / name / contract.CONFIG_FILE).is_file()
    ]
    if missing:
        console.print(f"{repository} still lacks {', '.join(missing)}; '{contract.Model.PHOTO}' follows with it")
        return
    info = contract.write_photo_ensemble(repository)
    console.print(
        f"made {repository / contract.Model.PHOTO}: {info.size_px} px in, embedding {info.embedding_dim}, "
        f"{len(info.labels)} labels, pooled {info.pooled_dim} out",
        soft_wrap=True,
    )


if __name__ == "__main__":
    run_main(main)
