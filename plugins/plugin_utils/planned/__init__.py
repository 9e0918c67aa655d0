"""The plan as typed values: what every room of the control node reads."""
