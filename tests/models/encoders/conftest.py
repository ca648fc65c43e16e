"""Small encoders, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_encoders


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Callable[[str], Path]:
    """``written(family)`` returns the folder of a small encoder, made once."""
    root, made = tmp_path_factory.mktemp("encoders"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tiny_encoders.write(root / f"tiny-{name}", name)
        return made[name]

    return folder
