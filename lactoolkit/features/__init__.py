"""From video files to frame features, with a content-keyed cache."""
