"""A model is heard anew when its code changes, and only then."""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pytest
import soundfile

from earmark.bench.embeddings import model_code
from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.model_code import code_of, kept_code
from earmark.bench.embeddings.store import Store, space_of
from earmark.datasets.audio import decoded_files
from earmark.datasets.base import Clip
from earmark.datasets.files.user_modules import FILE_MODULE
from earmark.models.registry import MODELS

ADAPTER = """
import numpy as np
from earmark.models.base import ModelCard
{imports}
class Level:
    sample_rate = {rate}
    def __init__(self):
        self.card = ModelCard("level", "1", "untrained", "MIT", "", (), "whole")
    def predict_av(self, clips):
        return np.array([[{value}, len(c.samples)] for c in clips], np.float32)
"""


class Project:
    """A user's adapter in a file, opened as by a new process."""

    def __init__(self, root):
        self.root = root
        self.path = root / "model.py"
        self.audio = [Clip(f"c{n}", root / f"{n}.wav") for n in range(3)]
        for n, clip in enumerate(self.audio):
            soundfile.write(clip.path, np.sin(np.arange(4000) * 0.1 * (n + 1)) / 2, 8000)
        self.write()

    def write(self, *, value="1.0", imports="", rate=8000, **files):
        self.path.write_text(ADAPTER.format(value=value, imports=imports, rate=rate))
        for name, text in files.items():
            path = self.root / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def open(self, loader=None):
        for name in [n for n in sys.modules if n.startswith((FILE_MODULE, "helper", "own_pkg"))]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return MODELS.create(loader or f"{self.path}:Level", {})

    def listen(self, **options):
        """Return how many clips were heard anew, and the first's arousal."""
        before = decoded_files()
        found = Embeddings(Store(self.root / "store"), **options).av(self.open(), self.audio)
        return decoded_files() - before, float(found.rows[0, 0])


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Project(tmp_path)


def test_an_edit_of_one_line_is_heard_anew_and_a_new_time_is_not(project):
    assert project.listen() == (3, 1.0)
    os.utime(project.path, (1e9, 1e9))
    (project.root / "beside.py").write_text("elsewhere = 1\n")
    assert project.listen() == (0, 1.0)
    project.write(value="2.0")
    assert project.listen() == (3, 2.0)
    project.write(value="1.0")  # what was kept for the code before is there still
    assert project.listen() == (0, 1.0)


def test_a_user_who_trusts_the_card_reads_what_other_code_made_and_is_told(project):
    project.listen()
    project.write(value="2.0")
    assert project.listen(trust_card=True) == (0, 1.0)
    embeddings = Embeddings(Store(project.root / "store"), trust_card=True)
    found = embeddings.av(project.open(), project.audio)
    assert [text for text in found.warnings if "3 av were made by other code" in text]
    assert project.listen() == (3, 2.0)  # what was trusted is nowhere taken for the new code's
    assert project.listen(trust_card=True) == (0, 2.0)  # and the code's own goes first


def test_rows_of_earmark_0_1_are_read_by_those_who_trust_the_card(project):
    """It kept them by the card alone; the identity is written out here as it wrote it."""
    card = project.open().card
    old = Store(project.root / "store").open(space_of(card, kind="av"))
    assert "code" not in old.identity
    assert "sample_rate" not in old.identity
    keys = set(Embeddings(Store(project.root / "x"))._files(project.audio).paths)
    with old:
        old.put({key: np.array([7, 7], np.float32) for key in keys})
    assert project.listen(trust_card=True) == (0, 7.0)
    assert project.listen() == (3, 1.0)


def test_another_sample_rate_is_another_space(project):
    """Set from outside, as an option may do, so that the code is the same."""
    store = Store(project.root / "store")
    for rate, heard in ((8000, 4000), (4000, 2000), (8000, 4000)):
        model = project.open()
        model.sample_rate = rate
        for trust in (False, True):
            found = Embeddings(store, trust_card=trust).av(model, project.audio)
            assert found.rows[0, 1] == heard


IMPORTS = {
    "a module beside the file": ("from helper import GAIN", {"helper": "GAIN = {0}"}),
    "a module that that one imports": (
        "import helper",
        {"helper": "from helper2 import GAIN\n", "helper2": "GAIN = {0}"},
    ),
    "inside a function": ("def late():\n    import helper\n", {"helper": "GAIN = {0}"}),
    "a package beside the file": (
        "from own_pkg import part",
        {"own_pkg.__init__": "", "own_pkg.part": "GAIN = {0}"},
    ),
    "a relative import in it": (
        "import own_pkg.part",
        {
            "own_pkg.__init__": "",
            "own_pkg.part": "from .deep import GAIN\n",
            "own_pkg.deep": "GAIN = {0}",
        },
    ),
}


@pytest.mark.parametrize("case", IMPORTS)
def test_what_the_adapter_imports_counts_at_any_depth(project, case):
    line, files = IMPORTS[case]
    first, same, other = (
        (
            project.write(imports=line, **{n: t.format(gain) for n, t in files.items()}),
            code_of([project.open()], hears=True).digest,
        )[1]
        for gain in (1, 1, 2)
    )
    assert first == same != other


def test_a_module_of_a_package_counts_by_what_it_imports_and_not_by_its_neighbours(project):
    text = ADAPTER.format(value="1.0", imports="from own_pkg.part import GAIN", rate=8000)
    files = {"own_pkg.__init__": "", "own_pkg.model": text, "own_pkg.part": "GAIN = 1"}

    def digest(changed=()):
        project.write(**{**files, **dict(changed)})
        return code_of([project.open("own_pkg.model:Level")], hears=True).digest

    first = digest()
    assert digest({"own_pkg.neighbour": "GAIN = 3"}) == first
    assert digest({"own_pkg.part": "GAIN = 2"}) != first
    found = code_of([project.open("own_pkg.model:Level")], hears=True)
    names = {one.name for one in found.sources if not one.name.startswith("earmark.")}
    assert names == {"own_pkg.model", "own_pkg.part"}


def test_a_moved_folder_is_the_same_code(project, tmp_path_factory):
    project.write(imports="import helper", helper="GAIN = 1")
    moved = tmp_path_factory.mktemp("moved")
    for name in ("model.py", "helper.py"):
        (moved / name).write_text((project.root / name).read_text())
    here = code_of([project.open()], hears=True)
    there = code_of([project.open(f"{moved / 'model.py'}:Level")], hears=True)
    assert here.digest == there.digest


def test_a_wrapper_and_its_factory_count_with_what_they_wrap(project):
    project.write(
        imports="import helper\n\ndef made():\n    return helper.Inner(Level())\n",
        helper="class Inner:\n    def __init__(self, model):\n        self.model = model\n",
    )
    found = code_of([project.open(f"{project.path}:made")], hears=True)
    names = {one.name for one in found.sources}
    assert {"model.py", "helper.py"} <= names


def names_of(loader, *, hears=True, **options):
    found = code_of([MODELS.create(loader, options)], hears=hears)
    return {one.name.removeprefix("earmark.") for one in found.sources}


def test_of_earmark_the_adapter_and_the_decoder_count_and_nothing_else():
    heard = names_of("random")
    assert {"models.adapters.references", "models.support.adapter", "datasets.audio"} <= heard
    assert "datasets.mp3" in heard
    assert not {name for name in heard if name.startswith(("bench", "reports", "datasets.base"))}
    assert not {"models.base", "models.adapters.clap", "models.registry"} & heard
    assert "datasets.files.fetch" not in heard
    assert "datasets.audio" not in names_of("random", hears=False)  # texts are not decoded
    assert names_of("signal-descriptors") - heard == {"models.essentia.descriptors"}


def test_a_package_counts_by_its_version(project, monkeypatch):
    project.write(imports="import hypothesis\nimport pandas\nimport json")
    found = code_of([project.open()], hears=True)
    version = importlib.metadata.version("hypothesis")
    assert found.packages == (("hypothesis", version),)  # Earmark runs on pandas itself
    monkeypatch.setattr(model_code, "_version", {"hypothesis": "0.0"}.get)
    assert code_of([project.open()], hears=True).digest != found.digest
    assert found.changes() == [f"hypothesis was {version}, is 0.0"]


def test_what_made_the_rows_is_said_beside_them(project):
    project.listen()
    (space,) = Store(project.root / "store").spaces()
    kept = kept_code(space.folder)
    assert kept.changes() == []
    project.write(value="2.0")
    assert kept.changes() == ["model.py has changed"]
    project.path.unlink()
    assert kept.changes() == [f"{project.path} is gone"]
