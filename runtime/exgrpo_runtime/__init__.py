"""Artifact to student: data, probing, warm-up, ExGRPO, evaluation, report. Never sees a spec's source."""
