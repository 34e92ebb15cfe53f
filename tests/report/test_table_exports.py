"""Tables and pictures, read back by the libraries they are for."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
from PIL import Image
from report_alignments import make_alignment

from lactoolkit.report.bundle import write_report


def test_npz(pair, write):
    alignment = make_alignment(*pair, range(10, 40), range(20, 50))
    with np.load(write(alignment, "npz") / "alignment.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["frame_a"], np.arange(10, 40))
        np.testing.assert_array_equal(arrays["frame_b"], np.arange(20, 50))
        np.testing.assert_array_equal(arrays["similarity_matrix"], alignment.similarity)
        np.testing.assert_array_equal(arrays["times_b"], alignment.b.times)
        assert arrays["reduction"].tolist() == [1, 1]
        assert (arrays["hit"] == 1).all()


def test_parquet(pair, write):
    alignment = make_alignment(*pair, range(10, 40), range(20, 50))
    table = pd.read_parquet(write(alignment, "parquet") / "pairs.parquet")
    pd.testing.assert_frame_equal(table, alignment.to_dataframe())


def test_svg_is_the_picture_with_its_colours(pair, write):
    root = ElementTree.parse(write(make_alignment(*pair, range(10, 40), range(20, 50)), "svg") / "similarity.svg")
    assert root.getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findall(".//{http://www.w3.org/2000/svg}image")


def test_gif_plays_like_the_video(pair, tmp_path, play):
    write_report(make_alignment(*pair, range(10, 60), range(20, 70)), tmp_path / "out", exports=["gif"])
    video = play(tmp_path / "out" / "side_by_side.mp4")
    with Image.open(tmp_path / "out" / "side_by_side.gif") as image:
        assert (image.width, image.height) == (video.shape[2], video.shape[1])
        assert abs(image.n_frames - 12.5 * len(video) / 30) <= 1
        for number in (0, 5, 15):
            image.seek(number)
            assert image.info["duration"] == 80
            shown = np.asarray(image.convert("RGB")).astype(float)
            nearest = min(np.abs(shown - video[k]).mean() for k in range(round(2.4 * number), round(2.4 * number) + 3))
            assert nearest < 6
