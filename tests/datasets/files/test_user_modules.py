"""A user's file and the files beside it, as a script would have them, and nobody else's."""

import importlib
import os
import sys

import pytest

from earmark.datasets.files.user_modules import FILE_MODULE, import_file
from earmark.datasets.registry import Registry

THINGS = Registry("thing", "earmark.test-things", {})


def write(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "model.py"


@pytest.mark.parametrize(
    "line",
    [
        "from layers import VALUE",
        "import layers; VALUE = layers.VALUE",
        "import layers as own; VALUE = own.VALUE",
        "from .layers import VALUE",
        "from nets.deep import VALUE",
        "import nets.deep; VALUE = nets.deep.VALUE",
        "import nets.deep as deep; VALUE = deep.VALUE",
        "from nets import deep; VALUE = deep.VALUE",
        "from plain.deep import VALUE",
    ],
)
def test_what_lies_beside_a_file_is_imported_as_a_script_would(tmp_path, line):
    files = {
        "layers": "VALUE = 7\n",
        "nets__in____init__": "",
        "nets__in__deep": "from layers import VALUE\n",
        "plain__in__deep": "import layers\nVALUE = layers.VALUE\n",
    }
    before = set(sys.modules), list(sys.path)
    path = write(tmp_path, model=f"{line}\ndef make():\n    return VALUE\n", **files)
    assert THINGS.create(f"{path}:make", {}) == 7
    assert sys.path == before[1]
    assert all(name.startswith(FILE_MODULE) for name in set(sys.modules) - before[0])


def test_two_folders_have_their_own_layers_also_when_imported_late(tmp_path):
    late = "def make():\n    from layers import value\n    return value()\n"
    layers = "def value():\n    from numbers_ import N\n    return N\n"
    made = {}
    for name in ("a", "b"):
        path = write(tmp_path / name, model=late, layers=layers, numbers_=f"N = {name!r}\n")
        made[name] = THINGS.factory(f"{path}:make")
    assert (made["a"](), made["b"](), made["a"]()) == ("a", "b", "a")


def test_folders_whose_paths_differ_by_a_slash_are_not_confused(tmp_path):
    one = write(tmp_path / "a_b", model="VALUE = 1\n")
    other = write(tmp_path / "a" / "b", model="VALUE = 2\n")
    assert [import_file(path).VALUE for path in (one, other)] == [1, 2]


def test_python_and_earmark_and_data_folders_come_before_a_name_beside(tmp_path):
    path = write(
        tmp_path,
        random="raise RuntimeError('not this one')\n",
        earmark__in__x="",
        numpy__in__notes="",  # a folder of that name without __init__.py
        model="import random, numpy\nfrom earmark.models.base import ModelCard\nVALUE = numpy.pi\n",
    )
    assert import_file(path).VALUE > 3


def test_a_file_is_run_once_and_again_after_it_failed(tmp_path):
    path = write(tmp_path, model="raise ValueError('half')\n")
    with pytest.raises(ValueError, match="half"):
        import_file(path)
    write(tmp_path, model="VALUE = object()  # now\n")
    importlib.invalidate_caches()
    assert import_file(path).VALUE is import_file(path).VALUE


def test_what_is_beside_nothing_is_told_by_its_name(tmp_path):
    with pytest.raises(ModuleNotFoundError, match="No module named 'layerz'"):
        import_file(write(tmp_path, model="import layerz\n", layers=""))


def test_an_object_of_a_file_beside_can_be_pickled(tmp_path):
    import pickle

    path = write(tmp_path, layers="class Part:\n    pass\n", model="from layers import Part\n")
    part = import_file(path).Part()
    assert type(pickle.loads(pickle.dumps(part))) is type(part)


def test_an_edit_of_equal_length_within_one_second_is_run_and_not_its_old_bytecode(tmp_path):
    for value in (1, 2):
        path = write(tmp_path, model=f"from layers import make\n# {value}\n", layers="")
        write(tmp_path, layers=f"def make():\n    return {value}\n")
        for one in (path, tmp_path / "layers.py"):
            os.utime(one, (1e9, 1e9))
        for name in [name for name in sys.modules if name.startswith(FILE_MODULE)]:
            del sys.modules[name]
        assert THINGS.create(f"{path}:make", {}) == value
