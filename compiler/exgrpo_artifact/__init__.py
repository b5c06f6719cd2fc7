"""The contract between compiler and runtime: artifact models, answers, reward evaluation. No torch, no I/O but reading."""
