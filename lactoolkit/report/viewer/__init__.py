"""`viewer.html`: one page that plays both videos in step, for any browser, without a network."""

PAGE_NAME = "viewer.html"
COPY_NAMES = ("video_a.mp4", "video_b.mp4")
VIEWER_FILES = (PAGE_NAME, *COPY_NAMES)
# Of several videos beside a reference.
COPY_FOLDER = "videos"
COMPARISON_VIEWER_FILES = (PAGE_NAME, COPY_FOLDER)
