"""Every adapter by its name: registered, lazily, with plain options."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

from earmark.models.registry import MODELS

NAMES = [
    "muscall", "musicnn", "dcase", "clap", "muq-mulan", "conse", "own-tags", "random",
    "text-axis",
    "sentence-bert",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_is_registered_with_keyword_options_that_a_suite_can_give(name):
    factory = MODELS.factory(name)
    assert factory.__doc__
    for parameter in inspect.signature(factory).parameters.values():
        assert parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)


def test_listing_them_imports_none_of_the_libraries():
    code = (
        "import sys; from earmark.models.registry import MODELS; MODELS.targets();"
        "print([m for m in ('torch', 'transformers', 'essentia', 'gensim') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"
