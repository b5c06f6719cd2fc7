"""report.html: what a run did, complete or not, in one file that loads nothing."""

from exgrpo_runtime.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
