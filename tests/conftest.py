"""Hypothesis profiles: no deadlines, since test machines are shared; many more examples for `make fuzz`."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=3000)
settings.load_profile("shared-machine")
