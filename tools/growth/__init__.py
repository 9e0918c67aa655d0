"""`make bench-growth`: what a run costs the control node as a fleet grows, with recorded answers in the place of hosts."""
