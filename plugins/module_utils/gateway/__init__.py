"""The host's half of the gateway: HAProxy's runtime, draining, the lock of a rollout."""
