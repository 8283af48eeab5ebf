"""A trained network in, a run folder out (`run.json`, `checkpoint.pt`, `backbone.onnx` where one was given), and back.

A run appears under its name only when it is complete; an older run of that name is replaced.
"""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import MalformedError, NotFoundError
from training.backbones import ONNX_FILE, BackboneSpec, rebuild
from training.curves import write_curves
from training.logs import write_events
from training.networks import Classifier, Embedder, Fused, Kind, Network
from training.poolings import Pooling
from training.recording import Recording
from training.resume import forget_training
from training.stages import StagedBackbone

SCHEMA_VERSION = 1
RUN_FILE, CHECKPOINT_FILE = "run.json", "checkpoint.pt"


class RunRecord(BaseModel):
    """What `run.json` says: enough to build the network again, and how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    kind: Kind
    backbone: BackboneSpec
    size_px: int
    dim: int  # D of an embedder, P of the pooled features of a classifier or fused network
    head_dim: int  # 0: no linear layer below the embedding; V for a classifier
    power: float = 1.0
    unit_head: bool = False
    labels: tuple[str, ...] = ()
    temperature: float = 1.0  # of the probabilities
    pooling: Pooling | None = None  # of the stages below the embedding; None embeds the features
    embedding_dim: int = 0  # D of a fused network
    stages: tuple[str, ...] = ()  # the layers or tensors that are pooled
    coarse_labels: tuple[str, ...] = ()  # of the second level, which helped training only
    seed: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)
    metrics: list[dict[str, float]] = Field(default_factory=list)  # one entry an epoch


@dataclass(frozen=True)
class Run:
    """A run folder that was read: its record and its network in evaluation mode."""

    folder: Path
    record: RunRecord
    network: Network


def build_network(record: RunRecord, *, folder: Path) -> Network:
    """Make the network that `record` describes, with fresh weights."""
    backbone = rebuild(record.backbone, folder=folder)
    if record.kind is Kind.EMBEDDER:
        return Embedder(backbone, dim=record.head_dim, power=record.power, pooling=record.pooling)
    labels, coarse = len(record.labels), len(record.coarse_labels)
    if record.kind is Kind.FUSED:
        return Fused(
            backbone,
            labels=labels,
            dim=record.head_dim,
            pooling=record.pooling,
            power=record.power,
            unit_head=record.unit_head,
            coarse_labels=coarse,
            temperature=record.temperature,
        )
    return Classifier(
        backbone,
        labels=labels,
        power=record.power,
        unit_head=record.unit_head,
        coarse_labels=coarse,
        temperature=record.temperature,
    )


def stage_names(network: Embedder | Fused) -> tuple[str, ...]:
    """Return the names of the stages that a network pools, none where it embeds the features."""
    backbone = network.backbone
    return backbone.stage_nodes if network.pooling and isinstance(backbone, StagedBackbone) else ()


def write_run(
    out: Path, *, record: RunRecord, network: Network, backbone_file: Path | None, recording: Recording | None = None
) -> Path:
    """Write a run folder beside its place and move it there; return `out`.

    A `recording` adds its curves and logs. The state that was kept for resuming is removed.
    """
    check_out(out)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        partial.mkdir(parents=True)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        torch.save(state, partial / CHECKPOINT_FILE)
        if backbone_file is not None:
            shutil.copyfile(backbone_file, partial / ONNX_FILE)
        (partial / RUN_FILE).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if recording is not None and recording.losses:
            write_curves(recording, partial, title=out.name)
            write_events(recording, partial)
        if out.exists():
            out.rename(old)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    forget_training(out)
    return out


def check_out(out: Path) -> None:
    """Refuse a place that holds something other than a run, or cannot be written to, before hours are spent on one."""
    if out.exists() and not (out / RUN_FILE).is_file():
        raise MalformedError(f"{out} exists and is not a run folder; choose another --out or remove it")
    place = out.absolute().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise MalformedError(f"{out} cannot be made, since {place} is not a folder that may be written to")


def read_run(folder: Path, *, kind: Kind | None = None) -> Run:
    """Read a run folder; `kind` is what it must hold.

    Raises `NotFoundError` where there is no run, `MalformedError` for a damaged one or one of the other kind.
    """
    record = _read_record(folder)
    if kind is not None and record.kind is not kind:
        raise MalformedError(f"{folder} holds a run of kind '{record.kind}', expected '{kind}'")
    network = build_network(record, folder=folder)
    file = folder / CHECKPOINT_FILE
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        # What ONNX files became was once called `graph`.
        network.load_state_dict({name.replace("backbone.graph.", "backbone.body.", 1): state[name] for name in state})
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise MalformedError(
            f"{file} does not hold the network of {RUN_FILE} ({str(error).splitlines()[0]}); train it again"
        ) from error
    return Run(folder, record, network.eval())


def _read_record(folder: Path) -> RunRecord:
    file = folder / RUN_FILE
    if not file.is_file():
        raise NotFoundError(f"there is no run at {folder}: {RUN_FILE} is missing; train one with python -m training")
    try:
        record = RunRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise MalformedError(f"{file} is damaged: {where} {first['msg']}; train it again") from error
    if record.schema_version != SCHEMA_VERSION:
        raise MalformedError(f"{file} has schema version {record.schema_version}, this code reads {SCHEMA_VERSION}")
    return record
