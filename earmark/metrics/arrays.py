"""Arguments of torch as NumPy arrays, so that metrics take either."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def taking_tensors(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with every tensor among its arguments brought to a NumPy array."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*map(_plain, args), **{key: _plain(one) for key, one in kwargs.items()})

    return called


def _plain(value: Any) -> Any:
    if hasattr(value, "detach"):  # a tensor; torch is not imported for this
        value = value.detach().cpu()
        return (value.float() if value.is_floating_point() else value).numpy()
    return value
