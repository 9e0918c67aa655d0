"""Classification: one set of probabilities for each text."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import CLASSIFY
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import RELATED, UNRELATED

TEXTS = (*RELATED, UNRELATED)
TOLERANCE = 0.02


@probe("every_input", "probabilities")
def classify(client: Client, service: Service) -> Iterator[Check]:
    """Every text gets the same number of classes, in the order of the request, with probabilities that sum to 1.

    Raises Unexpected: for an answer of another shape.
    """
    data = pick(client.ask(CLASSIFY, {"model": service.model, "input": list(TEXTS)}), "data")
    indices = [pick(item, "index") for item in data]
    sizes = sorted({len(pick(item, "probs")) for item in data})
    yield expect(
        "every_input",
        indices == list(range(len(TEXTS))) and len(sizes) == 1,
        f"results {indices} with {' and '.join(map(str, sizes)) or 'no'} classes",
        f"one for each of 0 to {len(TEXTS) - 1} in turn, with the same classes",
    )
    rows = [[float(value) for value in item["probs"]] for item in data]
    # A model with one class gives a single probability, which need not be 1.
    good = [all(0 <= value <= 1 for value in row) and (len(row) == 1 or abs(sum(row) - 1) <= TOLERANCE) for row in rows]
    yield expect(
        "probabilities",
        bool(rows) and all(good),
        f"sums {', '.join(f'{sum(row):.3f}' for row in rows)}",
        "probabilities from 0 to 1 that sum to 1 for each text",
    )
