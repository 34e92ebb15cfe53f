"""Decoding and encoding of video files."""
