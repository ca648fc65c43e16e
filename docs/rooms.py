"""The rooms of Earmark and who imports whom, read from the imports.

``python docs/rooms.py`` draws ``docs/rooms.png``; with ``--check`` it names each import that breaks
a rule, and exits 1 if one does. The tests ask the same. A room is a folder of modules; the
modules that stand beside rooms (``datasets/base.py``, ``reports/words.py``) are drawn one by one
where they differ in what they may import.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import networkx  # comes with torch

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bench", "reports", "models", "datasets")
TASKS = "bench.tasks"
LAYERS = {
    "bench": ("cli", "demo", "judge", "gate", "run", "tasks", "embeddings", "scoring", "metrics"),
    "reports": ("render", "page", "findings", "gate", "content", "figures", "words", "record"),
}
"""Of two rooms of a package, the one that stands earlier may import the later one."""
SAME_LEVEL = {("bench", "embeddings", "scoring"), ("bench", "embeddings", "metrics")}
"""Rooms that do not import each other, although one stands before the other."""
ROOMS_OF_TASKS = {
    "zero_shot": {"labels"},
    "outputs": {"labels"},
    "probe": {"labels"},
    "av_cross_dataset": {"pairwise", "av_regression"},
}
"""A task's room imports no other room, but for these."""


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every product module by its dotted name, without ``earmark.``; a package by its folder's."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if "speed" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(known: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Each import of one of our modules by another, also those inside functions."""
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for target in targets:
                target = target.removeprefix("earmark.")
                if target not in known:
                    target = target.rpartition(".")[0]
                if target in known and target != name:
                    yield name, target


def room_of(name: str, known: Mapping[str, Path]) -> str:
    """``bench.tasks.retrieval`` of ``bench.tasks.retrieval.task``; some modules are their own."""
    room, _, stem = name.rpartition(".")
    alone = room in ("bench", "reports") or stem in ("base", "registry")
    return name if alone or known[name].name == "__init__.py" else room


def floor_of(name: str) -> str:
    """The room, or the module beside the rooms, on which the rules speak: ``tasks``, ``words``."""
    return name.split(".")[1] if "." in name else ""


def faults(known: Mapping[str, Path]) -> list[str]:
    """Each import that breaks a rule, as a sentence."""
    found = []
    for name, target in imports(known):
        package = name.split(".")[0]
        if package != target.split(".")[0] or package not in LAYERS:
            continue
        layers, (above, below) = LAYERS[package], (floor_of(name), floor_of(target))
        both = above in layers and below in layers and above != below
        upwards = both and layers.index(above) > layers.index(below)
        if upwards or (package, above, below) in SAME_LEVEL:
            found.append(f"{name} imports {target}: {above} must not import {below}")
        rooms = [each.split(".")[2] if each.count(".") > 2 else "" for each in (name, target)]
        allowed = {rooms[0], *ROOMS_OF_TASKS.get(rooms[0], ())}
        if above == below == "tasks" and all(rooms) and rooms[1] not in allowed:
            found.append(f"{name} imports {target}: {rooms[0]} must not import {rooms[1]}")
    return sorted(set(found))


def circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The groups of modules that import each other: strongly connected components."""
    groups = networkx.strongly_connected_components(networkx.DiGraph(list(arrows)))
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _layout(
    rooms: Iterable[str], arrows: set[tuple[str, str]]
) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """The level of each room, 0 the lowest, and the arrows that do not follow from others.

    Rooms that import each other stand on one level, and all arrows between them are kept.
    """
    graph = networkx.DiGraph(sorted(arrows))
    graph.add_nodes_from(rooms)
    groups = networkx.condensation(graph)
    level = {}
    for height, generation in enumerate(networkx.topological_generations(groups.reverse())):
        level |= {room: height for group in generation for room in groups.nodes[group]["members"]}
    group_of = groups.graph["mapping"]
    needed = set(networkx.transitive_reduction(groups).edges)
    kept = {
        (name, target)
        for name, target in arrows
        if group_of[name] == group_of[target] or (group_of[name], group_of[target]) in needed
    }
    return level, kept


def draw(known: Mapping[str, Path], out: Path) -> None:
    """Draw a panel per package: rooms as boxes with their number of modules, imports as arrows."""
    import matplotlib.pyplot as plt

    every = Counter((room_of(a, known), room_of(b, known)) for a, b in imports(known))
    size = Counter(room_of(name, known) for name, path in known.items() if path.stem != "__init__")
    figure, panels = plt.subplots(2, 2, figsize=(15, 11), layout="constrained")
    for panel, package in zip(panels.flat, PACKAGES, strict=True):
        rooms = sorted(room for room in size if room.split(".")[0] == package)
        arrows = {(a, b) for a, b in every if a != b and a in rooms and b in rooms}
        level, kept = _layout(rooms, arrows)
        place = {}
        for row in sorted(set(level.values())):
            there = [room for room in rooms if level[room] == row]
            for k, room in enumerate(there):
                place[room] = ((k + 1) / (len(there) + 1) + 0.03 * (row % 2), float(row))
        for name, target in sorted(kept):
            panel.annotate(
                "",
                xy=place[target],
                xytext=place[name],
                arrowprops={
                    "arrowstyle": "->",
                    "color": "0.55",
                    "linewidth": 0.8,
                    "shrinkA": 14,
                    "shrinkB": 14,
                    "connectionstyle": "arc3,rad=0.08",
                },
            )
        for room, (x, y) in place.items():
            label = room.removeprefix(package + ".") if room != package else f"{package} (core)"
            label = label.removeprefix("tasks.") if label != "tasks.registry" else "tasks: registry"
            n = size[room]
            text = label + (f"\n{n} modules" if n > 1 else "")
            box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "#0072b2"}
            panel.text(x, y, text, ha="center", va="center", fontsize=8, bbox=box)
        panel.set(title=f"{package}/", xlim=(0, 1.05), ylim=(-0.6, max(level.values()) + 0.6))
        panel.axis("off")
    figure.suptitle(
        "Rooms of Earmark. An arrow means: may import, with all that is below it. bench imports\n"
        "all packages, models imports datasets; reports and datasets import themselves alone.",
        fontsize=11,
    )
    figure.savefig(out, dpi=110, metadata={"Software": None})


def main() -> None:
    """Draw the picture, or check the rules."""
    known = modules()
    if sys.argv[1:] == ["--check"]:
        found = faults(known) + [f"a circle: {' '.join(one)}" for one in circles(imports(known))]
        print("\n".join(found) or "every import keeps the rules; no circle")
        sys.exit(bool(found))
    draw(known, Path(__file__).with_name("rooms.png"))


if __name__ == "__main__":
    main()
