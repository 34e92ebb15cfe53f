"""The configuration of a training run: one dataclass per section, presets, TOML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lactoolkit.errors import ParameterError
from lactoolkit.losses.registry import LOSSES
from lactoolkit.models.temporal import TemporalEncoderConfig
from lactoolkit.training.data import MAPS, DataConfig, FeatureConfig
from lactoolkit.training.options import (
    build_options,
    check_choice,
    check_names,
    options_table,
    parse_assignment,
    read_toml,
    write_toml,
)
from lactoolkit.video.augmentation import AugmentationSettings
from lactoolkit.video.clips import ClipSettings

_PRECISIONS = ("auto", "float32", "bfloat16")
_SELECTIONS = ("alignment", "loss")
_LARGEST_SEED = 2**63 - 1  # that torch takes


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to learn.

    Parameters
    ----------
    steps : int
        Steps of the optimiser.
    epochs : int
        When above 0, as many steps as show every video about this many times; `steps` is then not used. Setting `steps`
        alone sets this to 0.
    batch : int
        Videos per step, over all processes.
    learning_rate, weight_decay : float
        Of Adam; the loss's own parameters have their own.
    unfrozen_rate : float
        Learning rate of unfrozen stages of the frame encoder, as a part of that of the rest.
    warm_up : int
        Steps in which the learning rate rises from 0; it then falls to 0 as half a cosine wave.
    clip_norm : float
        Longest gradient of all parameters together.
    seed : int
        Chooses the held-out videos, the initial weights, the batches and everything else drawn by chance.
    precision : {"auto", "float32", "bfloat16"}
        Of the encoder; "auto" computes in bfloat16 on CUDA.
    cuda_graph : bool
        Whether the steps are recorded once as a CUDA graph and replayed, where they can be: by one process, on stored
        features of one process. False launches operation by operation, which is slower.
    validate_every : int
        Steps between validations; each also writes the checkpoints.
    select : {"alignment", "loss"}
        What makes a checkpoint the best: the highest alignment score of held-out videos (see
        :func:`lactoolkit.training.validation.alignment_score`), or the lowest loss on them, from the same clips at
        every validation.
    """

    steps: int = 250
    epochs: int = 0
    batch: int = 6
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    unfrozen_rate: float = 0.1
    warm_up: int = 20
    clip_norm: float = 10.0
    seed: int = 0
    precision: str = "auto"
    cuda_graph: bool = True
    validate_every: int = 25
    select: str = "alignment"

    def __post_init__(self) -> None:
        for name, lowest in (
            ("steps", 1),
            ("epochs", 0),
            ("batch", 2),
            ("warm_up", 0),
            ("validate_every", 1),
            ("seed", 0),
        ):
            if getattr(self, name) < lowest:
                raise ParameterError(f"training.{name} is {getattr(self, name)}; the least is {lowest}")
        if self.seed > _LARGEST_SEED:
            raise ParameterError(f"training.seed is {self.seed}; the largest is {_LARGEST_SEED}")
        for name in ("learning_rate", "unfrozen_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ParameterError(f"training.{name} is {getattr(self, name)}; it must be positive and finite")
        if not self.clip_norm > 0:
            raise ParameterError(f"training.clip_norm is {self.clip_norm}; it must be positive")
        if not 0 <= self.weight_decay < math.inf:
            raise ParameterError(f"training.weight_decay is {self.weight_decay}; it must be finite and 0 or more")
        for name, known in (("precision", _PRECISIONS), ("select", _SELECTIONS)):
            if getattr(self, name) not in known:
                raise ParameterError(f"training.{name} is {getattr(self, name)!r}; choose one of {', '.join(known)}")


@dataclass(frozen=True)
class RunConfig:
    """Everything about a run but its videos and its folder; sections are tables of the TOML file.

    Parameters
    ----------
    data, features, augmentation, clips, model, training : dataclass
        The sections.
    loss_name : str
        Name of the loss: ``name`` in the section ``loss``.
    loss : dataclass
        Configuration of that loss: the other keys of the section.
    """

    data: DataConfig = field(default_factory=DataConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    clips: ClipSettings = field(default_factory=ClipSettings)
    model: TemporalEncoderConfig = field(default_factory=TemporalEncoderConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loss_name: str = "lac"
    loss: Any = None

    def tables(self) -> dict[str, dict[str, Any]]:
        """Sections as plain tables, as the TOML file and checkpoints hold them."""
        tables = {name: options_table(getattr(self, name)) for name in _SECTIONS}
        tables["loss"] = {"name": self.loss_name, **options_table(self.loss)}
        return tables

    def to_toml(self) -> str:
        """Text of a TOML file that gives this configuration."""
        return write_toml(self.tables())


_SECTIONS = {one.name: one.default_factory for one in fields(RunConfig) if not one.name.startswith("loss")}

# What differs from the defaults. "paper": the published configuration of arXiv 2409.04607.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "small": {},
    "paper": {
        "features": {"encoder": "resnet50", "inputs": "maps", "components": 0, "views": 0, "untrained_weight": 0.0},
        "model": {
            "stem": "convolution",
            "context_stride": 1,
            "feed_forward": 1024,
            "norm_first": False,
            "position_code": "sinusoidal",
        },
        "training": {
            "epochs": 300,
            "batch": 2,
            "learning_rate": 1e-4,
            "warm_up": 0,
            # The alignment score cannot tell an encoder that counts frames, as sinusoidal positions allow.
            "select": "loss",
        },
        "loss": {"name": "lac", "pairs": "within", "gaps": "position", "alignment_weight": 0.1},
    },
}


def make_config(
    preset: str = "small",
    file: str | Path | None = None,
    assignments: Iterable[str] = (),
    shortcuts: Mapping[tuple[str, str], Any] | None = None,
) -> RunConfig:
    """Put a configuration together: the preset, changed by a TOML file, changed by single assignments.

    Parameters
    ----------
    preset : str
        Name in :data:`PRESETS`.
    file : path, optional
        TOML file with the sections data, features, augmentation, clips, model, loss and training.
    assignments : iterable of str
        ``section.key=value`` each.
    shortcuts : mapping, optional
        Values by (section, key), which win over everything else; None stands for not given.

    Raises
    ------
    ParameterError
        If a name is unknown, with the nearest one, or a value does not fit.

    Examples
    --------
    >>> make_config(assignments=["training.steps=100"]).training.steps
    100
    """
    check_choice(preset, PRESETS, "preset")
    tables: dict[str, dict[str, Any]] = {name: dict(table) for name, table in PRESETS[preset].items()}
    if file is not None:
        for section, table in read_toml(file).items():
            if not isinstance(table, dict):
                raise ParameterError(f"config {file}: {section} stands outside a section; put it below [training], ...")
            _change(tables, section, table)
    for assignment in assignments:
        section, key, value = parse_assignment(assignment)
        _change(tables, section, {key: value})
    for (section, key), value in (shortcuts or {}).items():
        if value is not None:
            _change(tables, section, {key: value})
    return config_from_tables(tables)


def _change(tables: dict[str, dict[str, Any]], section: str, changes: Mapping[str, Any]) -> None:
    table = tables.setdefault(section, {})
    if section == "training" and "steps" in changes:
        table["epochs"] = 0  # what is said last counts, and epochs above 0 would win over steps
    if section == "loss" and changes.get("name", before := table.get("name", "lac")) != before:
        table.clear()  # options of another loss
    table.update(changes)


def config_from_tables(tables: Mapping[str, Mapping[str, Any]]) -> RunConfig:
    """Make a configuration from plain tables.

    Raises
    ------
    ParameterError
        If a name is unknown, with the nearest one, or a value does not fit.
    """
    check_names(tables, [*_SECTIONS, "loss"], "")
    sections: dict[str, Any] = {
        name: build_options(kind, tables.get(name, {}), name)  # type: ignore[arg-type]  # a class makes its default
        for name, kind in _SECTIONS.items()
    }
    features = sections["features"]
    if features.weights is not None:  # checkpoints are used from other folders
        sections["features"] = replace(features, weights=str(Path(features.weights).absolute()))
    loss = dict(tables.get("loss", {}))
    name = loss.pop("name", "lac")
    check_choice(name, LOSSES, "loss.name")
    kind = LOSSES[name][0]
    if any(one.name == "embedding_size" for one in fields(kind)):
        size = loss.setdefault("embedding_size", sections["model"].output_size)
        if size != sections["model"].output_size:
            raise ParameterError(
                f"loss.embedding_size is {size}, but embeddings have model.output_size = "
                f"{sections['model'].output_size} numbers; leave it out"
            )
    if (sections["features"].inputs == MAPS) != (sections["model"].stem == "convolution"):
        raise ParameterError(
            f"features.inputs is {sections['features'].inputs!r} and model.stem {sections['model'].stem!r}; "
            "feature maps need the stem convolution, feature vectors the stem linear"
        )
    return RunConfig(**sections, loss_name=name, loss=build_options(kind, loss, "loss"))
