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
from training.networks import Classifier, Embedder, Kind, Network

SCHEMA_VERSION = 1
RUN_FILE, CHECKPOINT_FILE = "run.json", "checkpoint.pt"


class RunRecord(BaseModel):
    """What `run.json` says: enough to build the network again, and how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    kind: Kind
    backbone: BackboneSpec
    size_px: int
    dim: int  # D of an embedder, P of a classifier's pooled features
    head_dim: int  # 0: the features themselves; V for a classifier
    power: float = 1.0
    unit_head: bool = False
    labels: tuple[str, ...] = ()
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
    if record.kind is Kind.CLASSIFIER:
        return Classifier(backbone, labels=len(record.labels), power=record.power, unit_head=record.unit_head)
    return Embedder(backbone, dim=record.head_dim, power=record.power)


def write_run(out: Path, *, record: RunRecord, network: Network, backbone_file: Path | None) -> Path:
    """Write a run folder beside its place and move it there; return `out`."""
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
        if out.exists():
            out.rename(old)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return out


def check_out(out: Path) -> None:
    """Refuse a place that holds something other than a run, before hours are spent on one."""
    if out.exists() and not (out / RUN_FILE).is_file():
        raise MalformedError(f"{out} exists and is not a run folder; choose another --out or remove it")


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
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
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
