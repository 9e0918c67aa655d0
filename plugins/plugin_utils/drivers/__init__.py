"""Drivers, decided: resolve, diagnose, decide."""
