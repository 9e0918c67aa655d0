"""Proof over HTTP that a `vllm serve` endpoint does what its kind promises (standard library, Python 3.9)."""
