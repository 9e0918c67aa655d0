"""The one look at a host: what differs there from the plan, and how its endpoints answer, in one module call."""
