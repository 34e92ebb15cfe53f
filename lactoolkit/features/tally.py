"""How far work on many items has come, told when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

from lactoolkit.features.process_pool import Outcome

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tally:
    """How far work on many items has come.

    Parameters
    ----------
    verb : str
        What was done to an item, such as ``"extracted"``.
    done, kept, failed, left : int
        How many items were worked on now, are there from an earlier run, failed, and were not reached.
    reasons : tuple of str
        Why items failed.

    Examples
    --------
    >>> print(Tally("extracted", done=3, kept=0, failed=1, left=6, reasons=("b.mp4: empty",)))
    3 extracted, 0 there already, 1 failed, 6 left
    """

    verb: str
    done: int
    kept: int
    failed: int
    left: int
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.done} {self.verb}, {self.kept} there already, {self.failed} failed, {self.left} left"


@contextmanager
def noted_when_interrupted(tally: Callable[[], Tally], *, resumable: bool) -> Iterator[None]:
    """Add a note of how far the work has come to what interrupts it, for the one who tells the user.

    Parameters
    ----------
    tally : callable
        Gives the state of the work.
    resumable : bool
        Whether what is done will be found by the same work begun again.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        What came, with the note.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as interruption:
        state = tally()
        again = "; run the same command again to go on" if resumable else ""
        reasons = dict.fromkeys(" ".join(reason.split()) for reason in state.reasons)
        interruption.add_note("\n".join([f"{state}{again}.", *(f"Error: {reason}" for reason in reasons)]))
        raise


def gather(
    run: Generator[Outcome[Item, Result]], total: int, verb: str, *, bar: tqdm, resumable: bool
) -> list[Outcome[Item, Result]]:
    """All outcomes of a run; what interrupts it carries a note of how far it came.

    Parameters
    ----------
    run : generator of Outcome
        From :func:`lactoolkit.features.process_pool.run_items`; it is closed.
    total : int
        How many outcomes there will be.
    verb, resumable
        See :class:`Tally` and :func:`noted_when_interrupted`.
    bar : tqdm
        A progress bar; it is closed.

    Returns
    -------
    list of Outcome
        In order of completion.
    """
    outcomes: list[Outcome[Item, Result]] = []

    def tally() -> Tally:
        reasons = tuple(one.error for one in outcomes if one.result is None)
        kept = sum(one.kept for one in outcomes)
        done = len(outcomes) - kept - len(reasons)
        return Tally(verb, done, kept, len(reasons), total - len(outcomes), reasons)

    with closing(run), bar, noted_when_interrupted(tally, resumable=resumable):
        for outcome in run:
            outcomes.append(outcome)
            bar.update()
    return outcomes
