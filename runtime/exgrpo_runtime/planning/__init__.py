"""What a task would ask, what that would cost and how long it would take: counted before anything is sent."""
