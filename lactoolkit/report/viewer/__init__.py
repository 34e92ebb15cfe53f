"""`viewer.html`: one page that plays both videos in step, for any browser, without a network."""

COPY_NAMES = ("video_a.mp4", "video_b.mp4")
VIEWER_FILES = ("viewer.html", *COPY_NAMES)
