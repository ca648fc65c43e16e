"""Folders of pre-trained weights as Hugging Face lays them out: found, downloaded, identified.

Only a name such as ``laion/clap-htsat-unfused`` that the user gives is ever asked of the hub; one
that a file gives is looked for in the hub's cache alone.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earmark.datasets.audio import file_digest
from earmark.datasets.base import fingerprint
from earmark.datasets.registry import naming_file
from earmark.models.base import ModelError
from earmark.models.support.adapter import require

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SAFE, _PICKLED = ".safetensors", ".bin"
_SETTINGS = (".json", ".txt", ".model")


def hub_name(weights: str) -> str:
    """Return ``owner/name`` of a name of the hub or a folder of its cache, else a folder's name.

    >>> hub_name("laion/larger_clap_general"), hub_name("/data/models--laion--x/snapshots/1f2e")
    ('laion/larger_clap_general', 'laion/x')
    >>> hub_name("/data/my-encoder/")
    'my-encoder'
    """
    path = Path(weights).expanduser()
    for part in path.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
    if _HUB_NAME.fullmatch(weights) and not path.is_dir():
        return weights
    return path.resolve().name or weights


def pretrained_folder(
    weights: str, *, revision: str | None, extra: str, of: str, code: bool = False
) -> Path:
    """Return the folder that a path, or a name ``owner/name`` of the hub, stands for.

    ``revision`` is a commit, tag or branch of the hub; ``extra`` brings the hub's client; ``code``
    fetches the Python files beside the weights, too.

    Raises
    ------
    ModelError
        If there is no such folder, it holds no weights, or the hub's cannot be had.
    """
    folder = Path(weights).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelError(f"{of}: a revision is of the hub, but {folder} is a local folder")
        return _with_weights(folder, of)
    if folder.exists() or not _HUB_NAME.fullmatch(weights):
        raise ModelError(f"{of}: {weights} is no folder, nor a name owner/name of the hub")
    hub = require("huggingface_hub", extra=extra, of=of)
    settings = [f"*{suffix}" for suffix in (*_SETTINGS, *([".py"] if code else []))]
    how = {"revision": revision, "local_files_only": naming_file() is not None}
    try:
        # Repositories hold the same weights in several formats; only one of them is fetched.
        found = Path(hub.snapshot_download(weights, allow_patterns=[*settings, "*" + _SAFE], **how))
        if not any(found.rglob("*" + _SAFE)):
            patterns = [*settings, "*" + _PICKLED]
            found = Path(hub.snapshot_download(weights, allow_patterns=patterns, **how))
    except Exception as error:  # the hub's client raises errors of many libraries
        raise ModelError(
            f"{of}: {weights!r} is no folder here, and could not be had from the hub nor from its "
            f"cache ({type(error).__name__}: {str(error)[:200]}). Where there is a network, run: "
            f"hf download {weights}; offline, give the folder of a download"
        ) from error
    return _with_weights(found, of)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hide transformers' own progress bars, which show on terminals and in logs alike."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def muq_explained() -> Iterator[None]:
    """Say what to install where the package ``muq`` fails within newer versions of transformers."""
    try:
        yield
    except (AttributeError, KeyError) as error:
        raise ModelError(
            f"the package muq does not run with the installed transformers ({error!r}); its "
            f"release 0.1.0 needs transformers 4, run: pip install 'transformers<5'"
        ) from error


def weights_digest(folder: Path) -> str:
    """Return one sha256 of the weights files of a folder, whatever else lies there."""
    return fingerprint(_named_digests(folder, _weights_files(folder)))


def settings_digest(folder: Path) -> str:
    """Return one sha256 of a folder's configurations and vocabularies."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _SETTINGS)
    return fingerprint(_named_digests(folder, files))


def _named_digests(folder: Path, files: list[Path]) -> list[str]:
    return [f"{path.relative_to(folder).as_posix()} {file_digest(path)}" for path in files]


def _weights_files(folder: Path) -> list[Path]:
    # The libraries take safetensors where there are both.
    for suffix in (_SAFE, _PICKLED):
        if files := sorted(folder.rglob("*" + suffix)):
            return files
    return []


def _with_weights(folder: Path, of: str) -> Path:
    if not _weights_files(folder):
        held = sorted(path.name for path in folder.iterdir())
        raise ModelError(
            f"{of}: no weights ({_SAFE} or {_PICKLED}) in {folder}, which holds "
            f"{', '.join(held[:10]) or 'nothing'}"
        )
    return folder
