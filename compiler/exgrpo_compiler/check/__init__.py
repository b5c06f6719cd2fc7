"""Checks: names, kinds, types, units, templates. Each declaration kind has a module; each gives a typed value."""
