"""Metrics and protocols: how well embeddings and alignments do on labelled videos, beside baselines."""

from lactoolkit.evaluation.manifest_evaluation import evaluate
from lactoolkit.evaluation.protocol import evaluate_embeddings
from lactoolkit.evaluation.result import METRICS, EvaluationResult, Figure
from lactoolkit.evaluation.videos import LabelledVideo

__all__ = ["METRICS", "EvaluationResult", "Figure", "LabelledVideo", "evaluate", "evaluate_embeddings"]
