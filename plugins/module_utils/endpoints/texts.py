"""The texts that the checks send: short, plain, and with an answer that any real model knows."""

from __future__ import annotations

QUESTION = "What is the capital of France?"
ANSWER = "Paris"

# The first two say the same, the third speaks of something else.
RELATED = ("A cat is sleeping on the sofa.", "A kitten naps on the couch.")
UNRELATED = "The stock market fell sharply today."

# The document that answers the question stands neither first nor last, so that no order kept by chance looks right.
DOCUMENTS = (
    "Bananas are rich in potassium.",
    "The capital of France is Paris.",
    "The stock market fell sharply today.",
    "A kitten naps on the couch.",
)
RIGHT_DOCUMENT = 1
