"""The machine of this scenario and another one, with nothing on it."""

from __future__ import annotations

from functools import partial

import testlab
from testlab import ROOT

NAME, OTHER = "lab51", "lab52"
playbook = partial(testlab.playbook, inventories=[ROOT / "molecule" / "service" / "inventory"])
