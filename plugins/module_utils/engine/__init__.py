"""The host's half of engines: locks, wheels, installations of one release side by side with others."""
