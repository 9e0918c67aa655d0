"""Drivers as a host shows them: what is installed, loaded, offered, and the record of its acceptance."""
