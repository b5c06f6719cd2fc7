"""The probe stage: Explanatory Inversion, its filters and what became of every probe."""
