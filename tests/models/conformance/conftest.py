"""Puts the models without a fault where the tests beside this file can import them."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest's importlib mode puts no folder on the path. A spawned process inherits this one's.
sys.path.insert(0, str(Path(__file__).parent))
