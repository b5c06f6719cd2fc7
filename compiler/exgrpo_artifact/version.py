"""The version of exgrpo, where both sides of the contract can read it."""

VERSION = "0.1.0"
