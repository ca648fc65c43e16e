"""Which items of the truth every file of outputs has, and what is said of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from earmark.datasets.base import DataError, first_ten


def common_items(
    wanted: Sequence[str],
    by_file: Mapping[str, AbstractSet[str]],
    *,
    allow_missing: bool,
    what: str = "item",
) -> set[str]:
    """Return what of the truth every file has.

    Raises
    ------
    DataError
        If a file lacks something and none may be missing, or nothing is in every file.
    """
    for model, there in by_file.items():
        absent = [name for name in wanted if name not in there]
        if absent and not allow_missing:
            raise DataError(
                f"the file of {model} lacks {len(absent)} of {len(wanted)}: no {what} "
                f"{first_ten(absent)}; complete it, or allow missing ones (allow_missing, "
                f"--allow-missing) and have the coverage stated"
            )
    common = set(wanted).intersection(*by_file.values())
    if not common:
        raise DataError(
            f"no {what} of the truth is in every file: are the ids the same? The truth has "
            f"{first_ten(list(wanted))}"
        )
    return common


def coverage(n_scored: int, n_there: int, what: str) -> list[str]:
    """Return a warning where not everything that is known was scored."""
    if n_scored == n_there:
        return []
    return [f"{n_scored} of {n_there} are scored: every {what} that some file lacks is left out"]
