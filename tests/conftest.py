"""What holds for all tests: no stored results of `check`, hypothesis without deadlines.

Test machines are shared, so a deadline would say more of the others than of us; `make fuzz` draws many more examples.
"""

from __future__ import annotations

import os

from hypothesis import settings

from exgrpo_dsl.check_cache import FOLDER

os.environ[FOLDER] = ""  # no result of an earlier run is ever taken for a new one

settings.register_profile("shared-machine", deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=3000)
settings.load_profile("shared-machine")
