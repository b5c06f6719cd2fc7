"""What a spec could do better though it is right: warnings of `exgrpo lint`."""

LINTS = frozenset(
    {
        "duplicate-rule-text",
        "missing-doc",
        "no-budget",
        "no-evaluation",
        "no-test",
        "train-on-test",
        "unpinned-revision",
    }
)
"""Ids that `lint` gives and `check` does not."""
