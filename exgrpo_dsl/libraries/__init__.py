"""Libraries of specs: `exg.toml`, `exg.lock`, and where the files of a library come from."""
