"""The gateway's settings, keys, configuration; the firewall and the canary beside engines."""
