"""Text to artifact: source -> parse -> resolve -> check -> lower -> emit, as pure functions between frozen values."""
