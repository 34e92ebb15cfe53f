"""Pictures to print, and the side-by-side video as one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from tqdm import tqdm

from lactoolkit.report.exports import Export
from lactoolkit.report.similarity_plot import write_similarity_plot
from lactoolkit.video.container import PacketDecoder, open_video

# GIF counts in hundredths of a second: eight of them.
_GIF_RATE = Fraction(25, 2)
_GIF_WIDTH = 640
_GIF_SECONDS = 60


def write_svg(export: Export) -> None:
    """Write ``similarity.svg``, the picture of ``similarity.png``."""
    write_similarity_plot(export.alignment, export.folder / "similarity.svg")


def write_gif(export: Export) -> None:
    """Write ``side_by_side.gif`` from the video of that name: its first minute, with the best 256 colours.

    Parameters
    ----------
    export : Export
        What to write, and where, a folder that holds ``side_by_side.mp4``.
    """
    video = export.folder / "side_by_side.mp4"
    with av.open(str(export.folder / "side_by_side.gif"), "w", format="gif") as output:
        target = None
        with closing(_in_palette(video, _palette(video), progress=export.progress)) as pictures:
            for frame in pictures:
                if target is None:
                    target = output.add_stream("gif", rate=_GIF_RATE)
                    target.width, target.height, target.pix_fmt = frame.width, frame.height, "pal8"
                for packet in target.encode(frame):
                    output.mux(packet)
        assert target is not None  # a side-by-side video has a frame
        for packet in target.encode(None):
            output.mux(packet)


def _palette(video: Path) -> VideoFrame:
    """The 256 colours that suit the pictures best, as a picture."""
    with open_video(video) as (container, stream):
        graph = Graph()
        source, end = _scaled(graph, stream)
        palette, sink = graph.add("palettegen", "stats_mode=diff"), graph.add("buffersink")
        end.link_to(palette)
        palette.link_to(sink)
        graph.configure()
        for frame in _first_minute(container, stream):
            source.push(frame)
        source.push(None)
        return cast(VideoFrame, sink.pull())


def _in_palette(video: Path, palette: VideoFrame, *, progress: bool) -> Generator[VideoFrame]:
    """The pictures at the GIF's rate and size, in the colours of the palette."""
    with (
        open_video(video) as (container, stream),
        tqdm(desc="side_by_side.gif", unit="frame", delay=1, disable=not progress) as bar,
    ):
        graph = Graph()
        source, end = _scaled(graph, stream)
        colours = graph.add_buffer(
            width=palette.width, height=palette.height, format=palette.format, time_base=Fraction(1, 1000)
        )
        use, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle"), graph.add("buffersink")
        end.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        colours.push(palette)
        colours.push(None)
        for frame in _first_minute(container, stream):
            source.push(frame)
            yield from _finished(sink, bar)
        source.push(None)
        yield from _finished(sink, bar)


def _scaled(graph: Graph, stream: VideoStream) -> tuple[FilterContext, FilterContext]:
    """Both ends of a chain that takes pictures at the GIF's rate and size."""
    source = graph.add_buffer(template=stream)
    rate = graph.add("fps", str(_GIF_RATE))
    scale = graph.add("scale", f"'min({_GIF_WIDTH},iw)':-2:flags=area")
    source.link_to(rate)
    rate.link_to(scale)
    return source, scale


def _first_minute(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    frames = PacketDecoder(container, stream).frames()
    return takewhile(lambda frame: (frame.time or 0) < _GIF_SECONDS, frames)


def _finished(sink: FilterContext, bar: tqdm) -> Iterator[VideoFrame]:
    """Pictures that the filters have ready."""
    while True:
        try:
            frame = cast(VideoFrame, sink.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        bar.update()
        yield frame
