"""``earmark check-model``: a user's own class in a file, its options, verdict and exit code."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from earmark.bench.cli.check import parse_options
from earmark.datasets.base import DataError

SOURCE = '''
    """Somebody's model, in a file that is not part of the project."""

    import hashlib

    import numpy as np

    from earmark.models.base import ModelCard


    class Words:
        """Hashes words; a bias keeps the empty text from having no direction."""

        card = ModelCard(
            "words", "1", "untrained", LICENCE, "unpublished", (), "no audio is heard"
        )

        def __init__(self, *, dimension: int = 8, folder: str = "here"):
            self.dimension = dimension
            if folder == "nowhere":
                raise OSError("no folder nowhere")

        def embed_text(self, texts):
            rows = np.full((len(texts), self.dimension), 0.1)
            for row, text in zip(rows, texts):
                for word in text.split():
                    row[hashlib.sha256(word.encode()).digest()[0] % self.dimension] += 1
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


    class NoModel:
        pass
'''


@pytest.fixture
def write(tmp_path):
    """Write the user's file; return what names the class in it."""

    def file(*, name="mine.py", licence="'MIT'"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(SOURCE).replace("LICENCE", licence))
        return f"{path}:Words"

    return file


def test_a_users_class_in_a_file_passes(earmark, write):
    code, out, err = earmark("check-model", write())
    assert (code, err) == (0, "")
    assert "words, version 1" in out
    assert " 0 failed, " in out
    assert "FAIL" not in out


def test_a_new_process_makes_the_users_class_again(earmark, write):
    _, out, _ = earmark("check-model", write(), "--json")
    checks = {one["name"]: one for one in json.loads(out)["checks"]}
    assert checks["model.new_process"]["status"] == "pass"


def test_a_table_fits_eighty_columns(earmark, write):
    _, out, _ = earmark("check-model", write())
    assert max(map(len, out.splitlines())) <= 80


def test_a_failure_exits_with_code_1_and_is_named(earmark, write):
    code, out, err = earmark("check-model", write(licence="''"))
    assert (code, err) == (1, "")
    row = next(line for line in out.splitlines() if line.strip().startswith("card.licence"))
    assert row.split()[:2] == ["card.licence", "FAIL"]
    assert "failed: card.licence" in out


def test_debug_anywhere_shows_where_a_model_raised(earmark, write, monkeypatch):
    target = write()
    path = Path(target.rpartition(":")[0])
    path.write_text(path.read_text().replace("for row, text", "rows[99]\n        for row, text"))
    _, out, err = earmark("check-model", target)
    assert "IndexError: index 99" in " ".join(out.split())
    assert "Traceback" not in err
    for words in (["check-model", target, "--debug"], ["--debug", "check-model", target]):
        _, out, err = earmark(*words)
        monkeypatch.delenv("EARMARK_DEBUG")
        assert "mine.py" in err
        assert "rows[99]" in err


def test_json_holds_every_check(earmark, write):
    code, out, _ = earmark("check-model", write(licence="None"), "--json")
    found = json.loads(out)
    assert code == 1
    assert {key: found[key] for key in ("id", "version", "weights_digest")} == {
        "id": "words",
        "version": "1",
        "weights_digest": "untrained",
    }
    statuses = [one["status"] for one in found["checks"]]
    assert {status: statuses.count(status) for status in found["counts"]} == found["counts"]
    failed = [one for one in found["checks"] if one["status"] == "fail"]
    assert [one["name"] for one in failed] == ["card.licence"]
    assert "is None, expected" in failed[0]["detail"]


def test_options_reach_the_model(earmark, write):
    arguments = ("--option", "dimension=12", "--option", "folder=over there", "--json")
    code, out, _ = earmark("check-model", write(), *arguments)
    checks = {one["name"]: one["detail"] for one in json.loads(out)["checks"]}
    assert (code, checks["text.dimension"]) == (0, "12")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("dimensions=12", "Did you mean 'dimension'?"),
        ("folder=nowhere", "cannot be made: OSError: no folder nowhere"),
        ("dimension", "expected key=value"),
        ("folder=[1, 2", "not a TOML value"),
    ],
)
def test_a_faulty_option_exits_with_code_3(earmark, write, option, message):
    code, out, err = earmark("check-model", write(), "--option", option)
    assert (code, out) == (3, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("essentia-va", "Did you mean 'essentia-av'"),
        ("{folder}/other.py:Words", "no file"),
        ("{folder}/mine.py:Word", "has no 'Word'"),
        ("{folder}/mine.py:NoModel", "NoModel is no model: it has none of the methods embed_audio"),
    ],
)
def test_what_is_no_model_exits_with_code_3(earmark, write, tmp_path, name, message):
    write()
    code, out, err = earmark("check-model", name.format(folder=tmp_path))
    assert (code, out) == (3, "")
    assert message in err


def test_values_of_options_are_tomls():
    found = parse_options(
        ["a=4", "b=-1.5", "c=true", "d='12'", "e=[1, 'x']", "f=word", "g = runs/a b.pt", "h=a=b"]
    )
    assert found == {
        "a": 4,
        "b": -1.5,
        "c": True,
        "d": "12",
        "e": [1, "x"],
        "f": "word",
        "g": "runs/a b.pt",
        "h": "a=b",
    }


@pytest.mark.parametrize("options", [["a"], ["=1"], ["a b=1"], ["a=1", "a=2"], ["a='x"], ["a="]])
def test_faulty_options_are_refused(options):
    with pytest.raises(DataError, match="--option"):
        parse_options(options)


def test_a_value_cannot_smuggle_in_another_key():
    assert parse_options(["a=1\nb=2"]) == {"a": "1\nb=2"}
