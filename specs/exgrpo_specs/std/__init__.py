"""The standard library of `.exg` modules: `use std.rules.{…}`."""
