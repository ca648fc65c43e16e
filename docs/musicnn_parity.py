"""How near musicnn in PyTorch is to Essentia's graph of the same network, and how fast.

Usage: ``python docs/musicnn_parity.py FOLDER --graph msd-musicnn-1.pb [--every 8]``, after
``earmark fetch musicnn``, with essentia-tensorflow installed. FOLDER holds audio files at any
depth. Outputs are compared patch by patch: behind Essentia's own front end, behind this one at the
same 16 kHz, and as a whole from each file's own rate, where each side resamples as it does. Speeds
are those of whole clips, in turns, in processor seconds and wall-clock seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import essentia.standard as essentia
import numpy as np
import torch

from earmark.datasets.audio import Waveform, load
from earmark.datasets.base import audio_files
from earmark.models.adapters.conse import musicnn_tagger
from earmark.models.musicnn.adapter import PATCH_FRAMES, musicnn
from earmark.models.musicnn.front_end import FFT, HOP, log_mel

PATCH_HOP = 93
ROUNDS = 7


def essentias_frames(samples: np.ndarray) -> torch.Tensor:
    """Return the mel bands of Essentia's front end, ``(n_frames, 96)``."""
    bands = essentia.TensorflowInputMusiCNN()
    cut = essentia.FrameGenerator(samples, frameSize=FFT, hopSize=HOP)
    return torch.from_numpy(np.array([bands(frame) for frame in cut]))


def compare(clips: list[Waveform], graph: str) -> None:
    """Print the differences of probabilities and of the dense layer, behind either front end."""
    model = musicnn(weights="MSD_musicnn", device="cpu")
    theirs = {
        name: essentia.TensorflowPredictMusiCNN(graphFilename=graph, output=node)
        for name, node in (("tags", "model/Sigmoid"), ("dense", "model/dense/BiasAdd"))
    }
    for whose, front_end in (("Essentia's", essentias_frames), ("its own", None)):
        differences: dict[str, list[np.ndarray]] = {"tags": [], "dense": []}
        largest, cosines = 0.0, []
        for clip in clips:
            expected = {name: run(clip.samples) for name, run in theirs.items()}
            rows = (front_end or (lambda x: log_mel(torch.from_numpy(x))))(clip.samples)
            starts = range(0, PATCH_HOP * len(expected["tags"]), PATCH_HOP)
            with torch.inference_mode():
                patches = torch.stack([rows[i : i + PATCH_FRAMES] for i in starts])
                logits, layers = model.network(patches)
                dense = model.network.dense_values(layers["pooled"]).numpy()
            found = {"tags": torch.sigmoid(logits).numpy(), "dense": dense}
            for name, values in expected.items():
                differences[name].append(np.abs(found[name] - values).ravel())
            largest = max(largest, float(np.abs(expected["dense"]).max()))
            a, b = dense.mean(axis=0), expected["dense"].mean(axis=0)
            cosines.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        tags, values = (np.concatenate(differences[name]) for name in ("tags", "dense"))
        print(
            f"behind {whose} front end, {len(clips)} clips: probabilities differ by at most "
            f"{tags.max():.2g}, on average {tags.mean():.2g}; the dense layer by at most "
            f"{values.max() / largest:.2g} of its largest value, on average "
            f"{values.mean() / largest:.2g}; cosine of clips' means {min(cosines):.7f} at least"
        )


def whole(paths: list[Path], graph: str) -> None:
    """Print the differences of clips' probabilities, and how fast each side is."""
    clips = [load(path) for path in paths]
    model = musicnn(weights="MSD_musicnn", hop_frames=PATCH_HOP, device="cpu")
    tagger = musicnn_tagger(graph)

    def ours() -> np.ndarray:
        return model.tag_probabilities(clips)

    def theirs() -> np.ndarray:
        return np.stack([tagger.probabilities(clip) for clip in clips])

    found, expected = ours(), theirs()
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    print(
        f"from the files' own rate: probabilities of {len(clips)} clips differ by at most "
        f"{np.abs(found - expected).max():.2g}, on average {np.abs(found - expected).mean():.2g}; "
        f"{same} have the same first tag"
    )
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, run in (("ours", ours), ("theirs", theirs)):
            seconds[name].append(timed(run))
    audio = sum(len(clip.samples) / clip.sample_rate for clip in clips)
    for column, clock in enumerate(("processor", "wall-clock")):
        ratios = [
            b[column] / a[column] for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)
        ]
        own = statistics.median(one[column] for one in seconds["ours"])
        print(
            f"{clock} seconds: {statistics.median(ratios):.2f} [{min(ratios):.2f}, "
            f"{max(ratios):.2f}] times as fast as Essentia ({ROUNDS} rounds in turns); "
            f"{audio / own:.0f} times as fast as the music"
        )


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return the processor seconds and wall-clock seconds that something takes."""
    processor, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - processor, time.perf_counter() - wall


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--graph", required=True)
    parser.add_argument("--every", type=int, default=1, help="Take every n-th file.")
    given = parser.parse_args()
    essentia.essentia.log.infoActive = essentia.essentia.log.warningActive = False
    paths = audio_files(given.folder)[:: given.every]
    compare([load(path, sample_rate=16_000) for path in paths], given.graph)
    whole(paths[:16], given.graph)


if __name__ == "__main__":
    main()
