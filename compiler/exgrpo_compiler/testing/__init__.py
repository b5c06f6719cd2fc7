"""Running `test` blocks: rewards lowered, rollouts in words scored, expectations compared. Pure: no disk, no model, no clock."""
