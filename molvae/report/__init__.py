"""Candidates for people: tables, files, figures, a page, a summary for the terminal."""

from molvae.report.page import Funnel, ReportData, render_page, write_page
from molvae.report.properties import PropertyRequest, PropertyStatistics, statistics
from molvae.report.summary import summary_table
from molvae.report.table import to_frame
from molvae.report.write import suffix_of, write

__all__ = [
    "Funnel",
    "PropertyRequest",
    "PropertyStatistics",
    "ReportData",
    "render_page",
    "statistics",
    "suffix_of",
    "summary_table",
    "to_frame",
    "write",
    "write_page",
]
