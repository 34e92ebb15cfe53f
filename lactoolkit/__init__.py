"""lactoolkit: align videos of the same process in time, frame by frame, with a confidence.

Public names are imported on first use, so that ``import lactoolkit`` and ``lac --help`` stay instant.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Alignment": "lactoolkit.alignment.result",
    "AlignmentSettings": "lactoolkit.alignment.settings",
    "LACLoss": "lactoolkit.losses.lac",
    "SoftSmithWaterman": "lactoolkit.ops",
    "align_embeddings": "lactoolkit.alignment.align",
    "align_videos": "lactoolkit.alignment.align",
    "alignment_posterior": "lactoolkit.ops",
    "available_encoders": "lactoolkit.models.registry",
    "best_local_path": "lactoolkit.kernels.path_decoding",
    "best_local_paths": "lactoolkit.kernels.several_paths",
    "best_local_path_embeddings": "lactoolkit.kernels.long_pairs",
    "check_values": "lactoolkit.ops",
    "compare_videos": "lactoolkit.alignment.compare",
    "embed_video": "lactoolkit.features.video_embeddings",
    "evaluate": "lactoolkit.evaluation.manifest_evaluation",
    "extract_features": "lactoolkit.features.extraction",
    "extract_store": "lactoolkit.features.store",
    "frame_embeddings": "lactoolkit.features.embedding",
    "find_repetitions": "lactoolkit.alignment.repeats",
    "load_encoder": "lactoolkit.models.encoders",
    "load_trained_encoder": "lactoolkit.models.trained",
    "max_expected_accuracy_path": "lactoolkit.kernels.path_decoding",
    "read_frames": "lactoolkit.video.decoding",
    "retrieve_frames": "lactoolkit.retrieval.search",
    "soft_smith_waterman": "lactoolkit.ops",
    "soft_smith_waterman_embeddings": "lactoolkit.ops.long_pairs",
    "write_report": "lactoolkit.report.bundle",
    "synchronise": "lactoolkit.alignment.synchronise",
    "transfer_labels": "lactoolkit.alignment.transfer",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
