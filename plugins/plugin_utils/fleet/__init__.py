"""Rollouts, going back, retiring, status: many hosts at a time."""
