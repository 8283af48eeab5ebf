"""A trained network in, one ONNX file out, from uint8 pictures to unit vectors and probabilities, in any batch size.

Preprocessing, power and normalization are inside the graph, so that no caller can get them wrong.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from catalog.errors import OutOfRangeError
from catalog.pictures import FIT
from export import contract, parity
from training.networks import Classifier, Embedder, Fused, Kind
from training.runs import Run, read_run

OPSET = 18
TEMPERATURE = "temperature"  # key in the metadata of an ONNX file with probabilities
PRECISIONS = ("fp32",)
# The kind of run behind each model; a fused network takes the place of the ensemble.
KINDS = {
    contract.Model.EMBEDDER: Kind.EMBEDDER,
    contract.Model.CLASSIFIER: Kind.CLASSIFIER,
    contract.Model.PHOTO: Kind.FUSED,
}
_EXAMPLE_BATCH = 2  # anything but 1, which the exporter would take for a constant


@dataclass(frozen=True)
class Exported:
    """What was written: its description, the size of its file and how close ONNX Runtime's vectors are to torch's."""

    description: contract.ModelDescription
    onnx_bytes: int
    cosine: float


class EmbedderGraph(nn.Module):
    """Uint8 [B, S, S, 3] in, `embedding` [B, D] out."""

    def __init__(self, network: Embedder) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return unit embeddings."""
        return cast(Tensor, self.network(image))


class FusedGraph(nn.Module):
    """Uint8 [B, S, S, 3] in, `embedding` [B, D], `probabilities` [B, V] and `pooled` [B, P] out, in one pass."""

    def __init__(self, network: Fused) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return unit embeddings, probabilities and unit features."""
        return self.network.answers(image)


class ClassifierGraph(nn.Module):
    """Uint8 [B, S, S, 3] in, `probabilities` [B, V] and `pooled` [B, P] out."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and unit features."""
        return self.network.answers(image)


def export_run(
    checkpoint: Path,
    repository: Path,
    *,
    model: contract.Model,
    version: int = 1,
    precision: str = "fp32",
    temperature: float | None = None,
) -> Exported:
    """Export the run folder `checkpoint` as `model` into `repository`; nothing is written unless both runtimes agree.

    `temperature` takes the place of the run's own: probabilities are softmax(logits / temperature). It is written into
    the file (`exported_temperature`), but is no part of the space id (`space_id` says why).

    Raises `OutOfRangeError` for a precision that is not built yet, a temperature that is not above 0 or has no
    probabilities to change, `parity.ParityError` where the graph differs from torch, and what `training.runs.read_run`
    and `export.contract.write_model` raise.
    """
    if precision not in PRECISIONS:
        raise OutOfRangeError(f"--precision is {precision}, only {', '.join(PRECISIONS)} is built so far")
    if temperature is not None and not 0 < temperature < math.inf:  # nan is not either
        raise OutOfRangeError(f"--temperature is {temperature:g}, a number above 0 is needed")
    run = read_run(checkpoint)
    if run.record.kind is not (wanted := KINDS[model]):
        raise OutOfRangeError(f"{checkpoint} holds a run of kind '{run.record.kind}', expected '{wanted}'")
    if isinstance(run.network, Classifier | Fused):
        run.network.temperature = temperature = temperature or run.network.temperature
    elif temperature is not None:
        raise OutOfRangeError(f"--temperature is {temperature:g}, but '{model}' answers no probabilities")
    graph, outputs = _graph(run)
    names = [tensor.value for tensor in outputs]
    onnx = to_onnx(graph, size_px=run.record.size_px, outputs=names, temperature=temperature)
    cosine = parity.check(graph, onnx, size_px=run.record.size_px)
    description = contract.ModelDescription(
        name=model.value,
        size_px=run.record.size_px,
        outputs=outputs,
        space_id=space_id(run),
        labels=run.record.labels,
    )
    written = contract.write_model(repository, description, onnx, version=version)
    return Exported(written, len(onnx), cosine)


def to_onnx(graph: nn.Module, *, size_px: int, outputs: list[str], temperature: float | None = None) -> bytes:
    """Convert to one self-contained ONNX file with a dynamic batch on every input and output.

    `temperature` is that of the graph, to be told by the file's metadata; it changes nothing.
    """
    example = torch.zeros(_EXAMPLE_BATCH, size_px, size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own deprecations
        program: Any = torch.onnx.export(
            graph.eval(),
            (example,),
            dynamo=True,
            input_names=[contract.Tensor.IMAGE.value],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            opset_version=OPSET,
            verbose=False,
        )
    model = _without_notes(program.model_proto)
    if temperature is not None:
        model.metadata_props.add(key=TEMPERATURE, value=repr(float(temperature)))
    return cast(bytes, model.SerializeToString())


def exported_temperature(onnx_file: Path) -> float | None:
    """Return the temperature of the probabilities of a file that `export_run` wrote, None where it says none."""
    import onnx

    model = onnx.load(onnx_file, load_external_data=False)
    return next((float(entry.value) for entry in model.metadata_props if entry.key == TEMPERATURE), None)


def space_id(run: Run) -> str:
    """Name the space of a network's vectors: a hash of its weights, its preprocessing and its head.

    Equal for equal networks wherever and however they were saved, so that vectors with equal ids may be compared. The
    temperature of the probabilities is left out: `embedding` and `pooled` do not depend on it, nor does the most
    probable label, which is all that a gallery can hold of the probabilities. A network may so be calibrated anew
    without building its galleries anew; only a threshold of confidence must be chosen again.
    """
    record = run.record
    hasher = hashlib.sha256()
    # Settings that came later count only where they are used, so that older networks keep their ids.
    unnamed = {"stages"} if record.backbone.stages is None else None
    settings: tuple[object, ...] = (
        record.kind.value,
        FIT.value,
        record.size_px,
        record.backbone.model_dump_json(exclude=unnamed),
        record.head_dim,
        record.power,
        record.unit_head,
        record.labels,
    )
    if record.pooling is not None:
        settings += (record.pooling.value, record.stages)
    hasher.update(repr(settings).encode())
    for name, tensor in sorted(run.network.state_dict().items()):
        if name.startswith("coarse_head."):  # of training only
            continue
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()[:32]


def _without_notes(model: Any) -> Any:
    """Drop the exporter's notes on each node: they hold stack traces with the paths of this machine."""
    for owner in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        owner.ClearField("doc_string")
        owner.ClearField("metadata_props")
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    return model


def _graph(run: Run) -> tuple[nn.Module, dict[contract.Tensor, int]]:
    record = run.record
    if isinstance(run.network, Embedder):
        return EmbedderGraph(run.network).eval(), {contract.Tensor.EMBEDDING: record.dim}
    outputs = {contract.Tensor.PROBABILITIES: len(record.labels), contract.Tensor.POOLED: record.dim}
    if isinstance(run.network, Fused):
        return FusedGraph(run.network).eval(), {contract.Tensor.EMBEDDING: record.embedding_dim, **outputs}
    return ClassifierGraph(cast(Classifier, run.network)).eval(), outputs
