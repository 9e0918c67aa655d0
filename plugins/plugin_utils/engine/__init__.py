"""The control node's half of engines: resolving, wheelhouses, what suits a host."""
