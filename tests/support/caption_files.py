"""Invented tables of captions and their audio, for the tests of captioned sets."""

import csv
import io

import pytest

from earmark.datasets.base import DataError


def write(path, rows, *, newline="\n", mark=""):
    """Write rows as CSV, or text as it is."""
    if not isinstance(rows, str):
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        rows = stream.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((mark + rows.replace("\n", newline)).encode())


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\0")
    return root


def texts(opened):
    """The captions of each clip."""
    return {
        clip.id: [text for text, j in zip(opened.captions, opened.clip_of, strict=True) if j == i]
        for i, clip in enumerate(opened.clips)
    }


def refused(module, root, message, **options):
    """Both ways to find a fault find it."""
    assert any(message in str(problem) for problem in module.validate(root, **options))
    with pytest.raises(DataError) as error:
        module.load(root, **options)
    assert message in str(error.value)


OWN = [
    ["path", "caption", "split", "artist"],
    ["b.wav", "Slow strings", "test", "B"],
    ["a.wav", " a fast beat ", "test", "A"],
    ["a.wav", "drums", "test", "A"],
    ["sub/c.flac", "Slow strings", "train", ""],
]


def own(root, rows=OWN, **how):
    write(root / "captions.csv", rows, **how)
    return touch(root, "a.wav", "b.wav", "sub/c.flac")
