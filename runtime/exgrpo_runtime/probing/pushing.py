"""A probe stage's dataset folder, uploaded to the Hugging Face hub. Called by `exgrpo push` and by nothing else.

Invariant: without an explicit call nothing of a run leaves the machine; the token is the caller's, never one that the library
finds by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exgrpo_artifact.errors import HubError, MissingDependencyError
from exgrpo_runtime.quiet import silence_libraries

OURS: Final = ("data/*", "rejections/*")
"""What an earlier push may have left in the repository and this one replaces."""


def push_folder(folder: Path, repository: str, token: str, *, private: bool) -> str:
    """Uploads the folder as one commit to a dataset repository, which is made where there is none.

    Args:
        folder: with README.md, as a probe stage leaves it.
        repository: `ORG/NAME`.
        token: with the right to write there.
        private: whether a repository that is made here is private; one that exists stays as it is.

    Returns:
        The commit's URL.

    Raises:
        HubError: the hub refuses, or cannot be reached.
        MissingDependencyError: huggingface_hub is not installed.
    """
    silence_libraries()
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingDependencyError("`push` needs the extra `train`: pip install 'exgrpo[train]'") from error
    api = HfApi(token=token, library_name="exgrpo")
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Probes by exgrpo",
            delete_patterns=list(OURS),
        )
    except Exception as error:  # classes of its own and of whichever HTTP library it uses
        reason = " ".join(str(error).split()).replace(token, "…")[:300] or type(error).__name__
        raise HubError(
            f"{folder} could not be pushed to `{repository}`: {reason}. Nothing there has changed, unless the "
            "repository was made just now. Check the name, and that the token may write."
        ) from error
    return str(commit.commit_url)
