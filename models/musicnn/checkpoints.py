"""The four released checkpoints of musicnn: what they are, and their weights as safetensors.

``earmark fetch musicnn`` takes them from the package's wheel, none of whose code is run, and
:func:`converted` writes each as safetensors under the variables' own names, with a card in its
metadata: licence, training set, tags, the digests of what it was made from, and the scores that the
authors report. The values are moved and never rounded, so that the bytes are the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import candidates, resolve
from earmark.datasets.magnatagatune import TOP_50
from earmark.models.base import ModelError
from earmark.models.musicnn.bundle import read_index, read_tensors
from earmark.models.support.weights import not_understood, read_safetensors

FOLDER = "{models}/musicnn"
"""Where they are looked for by name."""
CITATION = """@misc{pons2019musicnn,
  author = {Pons, Jordi and Serra, Xavier},
  title = {musicnn: Pre-trained convolutional neural networks for music audio tagging},
  year = {2019},
  eprint = {1909.06654},
  archivePrefix = {arXiv}
}"""
MSD_TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s"),
    *("alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists"),
    *("classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill"),
    *("instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic"),
    *("experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"),
    *("easy listening", "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock"),
    *("60s", "rnb", "indie pop", "sad", "House", "happy"),
)
"""In the order of the outputs of networks that were trained on the Million Song Dataset."""
_TAGS = {"magnatagatune": TOP_50, "msd": MSD_TAGS}

_KEY = "earmark.musicnn"
_OPTIMIZER = ("/Adam", "/Adam_1", "beta1_power", "beta2_power")


@dataclass(frozen=True, slots=True)
class Released:
    """One checkpoint of the package."""

    architecture: str
    """``musicnn`` or ``vgg``."""
    training_dataset: str
    roc_auc: float
    pr_auc: float


RELEASED: Mapping[str, Released] = {
    "MTT_musicnn": Released("musicnn", "magnatagatune", 0.9067, 0.3831),
    "MSD_musicnn": Released("musicnn", "msd", 0.8802, 0.2891),
    "MTT_vgg": Released("vgg", "magnatagatune", 0.9030, 0.3823),
    "MSD_vgg": Released("vgg", "msd", 0.8768, 0.2819),
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of one network, and what its file says of them."""

    name: str
    path: Path
    architecture: str
    training_dataset: str
    tags: tuple[str, ...]
    licence: str
    roc_auc: float
    pr_auc: float
    """On the test clips of its training set, by the authors' own record."""
    tensors: Mapping[str, Any]
    """PyTorch's, by the names of :mod:`earmark.models.musicnn.network`."""


def converted(read: Callable[[str], bytes], prefix: str) -> bytes:
    """Return the bytes of a safetensors file made from one checkpoint of the wheel.

    Parameters
    ----------
    read
        Gives a file of the wheel by its path there.
    prefix
        The folder of the checkpoint in the wheel, e.g. ``musicnn/MSD_musicnn/``.

    Raises
    ------
    ModelError
        If the checkpoint is damaged.
    """
    name = prefix.rstrip("/").rpartition("/")[2]
    index, data = read(f"{prefix}.index"), read(f"{prefix}.data-00000-of-00001")
    wanted = [variable for variable in read_index(index) if not variable.endswith(_OPTIMIZER)]
    tensors = read_tensors(index, data, wanted)
    released = RELEASED[name]
    return _safetensors(
        {name.replace("/", "."): _in_torch_order(value) for name, value in tensors.items()},
        {
            "name": name,
            **asdict(released),
            "tags": _TAGS[released.training_dataset],
            "licence": "ISC",
            "source": "musicnn 0.1.0 on PyPI",
            "index_sha256": hashlib.sha256(index).hexdigest(),
            "data_sha256": hashlib.sha256(data).hexdigest(),
        },
    )


def read_checkpoint(weights: str) -> Checkpoint:
    """Return a checkpoint by its name, or by the path of its file.

    Raises
    ------
    ModelError
        If it is not found, or the file is damaged or of something else.
    """
    path = _path(weights)
    tensors, metadata = read_safetensors(path)
    if _KEY not in metadata:
        raise ModelError(f"musicnn: {path} holds no network of musicnn, but other weights")
    try:
        card = json.loads(metadata[_KEY])
        return Checkpoint(
            name=str(card["name"]),
            path=path,
            architecture=str(card["architecture"]),
            training_dataset=str(card["training_dataset"]),
            tags=tuple(map(str, card["tags"])),
            licence=str(card["licence"]),
            roc_auc=float(card["roc_auc"]),
            pr_auc=float(card["pr_auc"]),
            tensors=tensors,
        )
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise not_understood(path, error, of="musicnn") from error


def _path(weights: str) -> Path:
    if weights not in RELEASED:
        path = Path(weights).expanduser()
        if path.suffix != ".safetensors" or not path.is_file():
            raise ModelError(
                f"musicnn: weights {weights!r}, expected one of {', '.join(RELEASED)}, or the path "
                f"of a .safetensors file that `earmark fetch musicnn` has written"
            )
        return path
    template = f"{FOLDER}/{weights}.safetensors"
    try:
        return resolve(template)
    except DataError:
        looked = "; ".join(map(str, candidates(template)))
        raise ModelError(
            f"musicnn: {weights} is not here, looked for {looked}; run `earmark fetch musicnn`"
        ) from None


def _in_torch_order(value: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel as PyTorch has it: filters first, then what they read, then where.

    TensorFlow's are ``(time, bands, channels, filters)`` and ``(inputs, outputs)``. Of one channel,
    the bands, or the filters before, that stand in their place, become the channels.
    """
    if value.ndim == 2:
        value = value.T
    elif value.ndim == 4 and value.shape[2] == 1 and value.shape[:2] != (3, 3):
        value = value[:, :, 0].transpose(2, 1, 0)
    elif value.ndim == 4:
        value = value.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(value, np.float32)


def _safetensors(tensors: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> bytes:
    """Return a file whose bytes follow from the content alone: its digest is in the manifest.

    The library's are those of its version. The format: the header's length, a JSON header padded
    with spaces to 8 bytes, then the tensors.
    """
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(card, sort_keys=True)}}
    at = 0
    for name, value in sorted(tensors.items()):
        shape, end = list(value.shape), at + value.nbytes
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    content = [value.astype("<f4").tobytes() for _, value in sorted(tensors.items())]
    return b"".join([len(text).to_bytes(8, "little"), text, *content])
