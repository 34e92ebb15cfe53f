"""Puts the helper modules of this folder (reference.py, videos.py, ...) within reach of all tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
