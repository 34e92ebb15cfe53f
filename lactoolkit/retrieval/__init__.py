"""Fine-grained retrieval: the frames of other videos that show the same moment as a given one."""

from lactoolkit.retrieval.index import FrameIndex, IndexedVideo
from lactoolkit.retrieval.search import FoundFrame, Retrieval, retrieve_frames

__all__ = ["FoundFrame", "FrameIndex", "IndexedVideo", "Retrieval", "retrieve_frames"]
