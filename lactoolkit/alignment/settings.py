"""What turns a similarity into an alignment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AlignmentSettings:
    """What turns a similarity into an alignment; similarities and penalties are in background standard deviations.

    The defaults are those that located the common stretch and its phases best on the training videos of four simulated
    robot tasks.

    Parameters
    ----------
    margin : float
        How far above the background a pair must lie to count as a match.
    gap_open, gap_extend : float
        Cost of the first and of each further frame without a partner.
    temperature : float
        Of the posterior behind the confidence.
    """

    margin: float = 0.75
    gap_open: float = 0.2
    gap_extend: float = 0.2
    temperature: float = 1.0
