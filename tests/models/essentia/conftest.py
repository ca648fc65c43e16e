"""Models on graphs that the tests write themselves."""

import sys
from importlib import util
from pathlib import Path

import pytest

# pytest's importlib mode puts no folder on the path; the writer of graphs is beside this file.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def essentia_installed():
    """Skips where it is not."""
    if util.find_spec("essentia") is None:
        pytest.skip("essentia-tensorflow is not installed")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder of graphs written here, under names that are not released ones."""
    import frozen_graphs

    folder = tmp_path_factory.mktemp("weights")
    frozen_graphs.write_backbone(folder / "backbone.pb", frozen_graphs.MUSICNN)
    frozen_graphs.write_first_generation(folder / "affine.pb")
    frozen_graphs.write_second_generation(folder / "hidden.pb")
    return folder


@pytest.fixture(scope="session")
def affine(weights, essentia_installed):
    from earmark.models.essentia.av import essentia_av

    return essentia_av(head="affine", backbone="backbone", weights=str(weights))


@pytest.fixture(scope="session")
def hidden(weights, essentia_installed):
    from earmark.models.essentia.av import essentia_av

    return essentia_av(head="hidden", backbone="backbone", weights=str(weights))
