"""From the menu to what each host is to have: placement, ports, memory, and the difference to what it has."""
