"""exgrpo: declare probes, dialogues and rewards in `.exg`; compile them; distil a student with them."""

from exgrpo_artifact.errors import ExgrpoError
from exgrpo_artifact.storage import Artifact, read_artifact
from exgrpo_artifact.version import VERSION as __version__

__all__ = ["Artifact", "ExgrpoError", "__version__", "read_artifact"]
