"""The embedded default: generated word problems, a rule-based tutor, and the spec that `make demo` runs."""
