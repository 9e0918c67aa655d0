"""Entries for known models, and proposals for unknown ones."""
