"""Does a model keep the promises of :mod:`earmark.models.base`, on which every number rests?

``check(model)`` tries each capability that a model has on synthesised sounds and plain texts.
Faults that published evaluations have suffered from are named: vectors that depend on the batch,
random crops, collapsed towers, NaN on silence, a sample rate that is declared and not heard.

Conventions
-----------
* A check is named ``capability.property``: ``audio.batch_size``, ``text.empty``, ``card.licence``.
* *pass*: tried, and as promised. *fail*: a fault, or an exception of the model where it should
  have answered. *not applicable*: nothing to try, or nothing to be told while another check fails.
* Vectors are compared by the largest distance between two rows, over the largest length of a row.
  What is allowed follows from ``card.preprocessing["precision"]`` (float32 where it is absent).
"""

from earmark.models.conformance.outputs import CheckResult, Status
from earmark.models.conformance.suite import check

__all__ = ["CheckResult", "Status", "check"]
