"""Engines: locks, wheels, wheelhouses, installations of one release side by side with others."""
