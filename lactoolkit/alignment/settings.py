"""What turns a similarity into an alignment."""

from __future__ import annotations

from dataclasses import dataclass

from lactoolkit.errors import ParameterError
from lactoolkit.models.registry import is_trained_identity

BACKGROUNDS = ("lines", "table")


@dataclass(frozen=True)
class AlignmentSettings:
    """What turns a similarity into an alignment; similarities and penalties are in background standard deviations.

    The defaults are those that located the common stretch and its phases best on the training videos of four simulated
    robot tasks: for features of frame encoders here, for trained embeddings in :func:`default_settings`.

    Parameters
    ----------
    margin : float
        How far above the background a pair must lie to count as a match.
    gap_open, gap_extend : float
        Cost of the first and of each further frame without a partner.
    temperature : float
        Of the posterior behind the confidence.
    background : {"lines", "table"}
        What a pair of frames is compared with: the other pairs of both of its frames, so that no frame is like all
        others; or all pairs of both videos, so that a frame may be like none.
    end_level : float
        Share of the mean cosine of a hit that its first and last pairs must reach, see
        :func:`lactoolkit.alignment.ends.without_poor_ends`; 0 leaves the ends where the score puts them.
    least_motion : float
        How much a frame must differ from the last one kept for a path to be sought through it, in usual distances of
        neighbouring frames, see :func:`lactoolkit.alignment.moving_frames.moving_frames`; 0 keeps all.
    cut_cost : float
        What a hit must be worth on either side of a hard cut that the other video does not have: the sum of its
        similarities over time in seconds, see :func:`lactoolkit.alignment.shots.within_shots`; 0 takes no notice.
    """

    margin: float = 0.75
    gap_open: float = 0.3
    gap_extend: float = 0.3
    temperature: float = 1.0
    background: str = "lines"
    end_level: float = 0.5
    least_motion: float = 0.0
    cut_cost: float = 1.3

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS:
            raise ParameterError(f"background is {self.background!r}; choose one of {', '.join(BACKGROUNDS)}")
        if not 0 <= self.end_level < 1:
            raise ParameterError(f"end_level is {self.end_level}; pass a share of the mean cosine, 0 to below 1")
        if not self.least_motion >= 0:
            raise ParameterError(f"least_motion is {self.least_motion}; pass a multiple of the usual motion, 0 or more")
        if not self.cut_cost >= 0:
            raise ParameterError(f"cut_cost is {self.cut_cost}; pass similarity times seconds, 0 or more")


# Between recordings of a minute and more, chance grows along the whole diagonal at the usual settings and swallows what
# the two have in common; at these a path through unrelated frames dies out. benchmarks/results/long_videos.md.
_LONG = AlignmentSettings(margin=1.25, gap_open=1.0, gap_extend=1.0)
_LONG_FRAMES = 1000
_TRAINED = AlignmentSettings(
    margin=1.25, gap_open=0.2, gap_extend=0.2, background="table", end_level=0.0, least_motion=1.0
)


def default_settings(encoder: str, frames: int = 0) -> AlignmentSettings:
    """Settings that suit an encoder and the length of the videos.

    Untrained features resemble each other for reasons other than the process, each frame in its own way, so every frame
    is judged by its own background. A trained encoder has learnt not to see these, and a frame outside the process is
    like none of it; a path through the frames in which something moves is closer to the truth with it (with untrained
    features so on simulated videos, not on real ones). Where both videos are long, a pair must stand out more and gaps
    cost more.

    Parameters
    ----------
    encoder : str
        Identity of what computed the embeddings.
    frames : int
        Analysed frames of the shorter video; 0 for the settings that p-values and confidences were calibrated with.

    Returns
    -------
    AlignmentSettings
    """
    if is_trained_identity(encoder):
        return _TRAINED
    return _LONG if frames > _LONG_FRAMES else AlignmentSettings()
