"""Verbs of export: `embedder`, `classifier` and `fused` write a run into a model repository, as ONNX for Triton."""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.errors import OutOfRangeError
from catalog.terminal import console, run_main
from export import contract

DEFAULT_REPOSITORY = Path("model_repository")
FUSED = "fused"
# Verb (which is also the run's kind) -> the model it becomes: a fused network answers under the ensemble's name.
MODELS = {model.value: model for model in contract.NETWORK_OUTPUTS} | {FUSED: contract.Model.PHOTO}


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, model in MODELS.items():
        verb = verbs.add_parser(name, help=f"export a run as the model '{model}'")
        verb.add_argument("--checkpoint", type=Path, required=True, help=f"run folder, for example runs/{name}")
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
        if model is not contract.Model.EMBEDDER:
            verb.add_argument(
                "--temperature", type=float, help="probabilities are softmax(logits / T) (default: the run's own T)"
            )
    options = parser.parse_args(arguments)
    return _export(options)


def _export(options: argparse.Namespace) -> int:
    if options.target != "onnxruntime":
        raise OutOfRangeError(f"--target is {options.target}, only onnxruntime is built so far")
    if options.precision != "fp32":
        raise OutOfRangeError(f"--precision is {options.precision}, only fp32 is built so far")
    model = MODELS[options.verb]
    contract.check_neighbors(options.repository, model)

    from export.graphs import export_run  # late: what is refused above need not wait for torch

    exported = export_run(
        options.checkpoint,
        options.repository,
        model=model,
        version=options.version,
        precision=options.precision,
        temperature=getattr(options, "temperature", None),  # an embedder has none
    )
    folder = options.repository / model / str(options.version)
    console.print(
        f"exported {folder / 'model.onnx'}: {exported.onnx_bytes / 1e6:.1f} MB, "
        f"cosine to torch {exported.cosine:.6f}, space {exported.description.space_id}",
        soft_wrap=True,
    )
    if model is contract.Model.PHOTO:
        _tell(options.repository, contract.read_repository(options.repository))
    else:
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
    _tell(repository, contract.write_photo_ensemble(repository))


def _tell(repository: Path, info: contract.RepositoryInfo) -> None:
    console.print(
        f"made {repository / contract.Model.PHOTO}: {info.size_px} px in, embedding {info.embedding_dim}, "
        f"{len(info.labels)} labels, pooled {info.pooled_dim} out",
        soft_wrap=True,
    )


if __name__ == "__main__":
    run_main(main)
