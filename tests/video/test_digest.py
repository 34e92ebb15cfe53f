import pytest

from lactoolkit.errors import VideoError
from lactoolkit.video.digest import file_sha256


@pytest.mark.parametrize(
    ("content", "digest"),
    [  # FIPS 180-2 examples
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_known_digests(tmp_path, content, digest):
    (tmp_path / "a").write_bytes(content)
    assert file_sha256(tmp_path / "a") == file_sha256(str(tmp_path / "a")) == digest


def test_unreadable(tmp_path):
    with pytest.raises(VideoError, match=r"none\.mp4: no such file"):
        file_sha256(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="this is a folder"):
        file_sha256(tmp_path)
