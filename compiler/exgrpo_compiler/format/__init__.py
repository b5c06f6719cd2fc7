"""The formatter: a spec's tokens and comments laid out again, meaning the same."""
