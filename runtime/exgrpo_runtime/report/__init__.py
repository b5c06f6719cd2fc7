"""report.html: one file that shows what a run did, complete or not; nothing in it is loaded from elsewhere."""

from exgrpo_runtime.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
