"""Models that are asked over an interface: requests, replies, the store, and how fast and for how much."""
