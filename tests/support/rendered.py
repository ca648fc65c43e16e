"""Pages of records with the views of every task, as the commands build them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earmark.bench.tasks.registry import VIEWS
from earmark.reports.content import Gap, Page, Plot, Text
from earmark.reports.findings.task import findings
from earmark.reports.page import page
from earmark.reports.page.side_by_side import SideBySide
from earmark.reports.record.schema import RunRecord, TaskResult
from earmark.reports.render import pdf
from earmark.reports.render.html import page_html
from earmark.reports.view import GENERIC, View


def build(record: RunRecord, items: Any, arrays: Any, **options: Any) -> Page:
    return page.build(record, items, arrays, views=VIEWS, **options)


def build_side_by_side(side: SideBySide) -> Page:
    return page.build_side_by_side(side, views=VIEWS)


def render_html(*of: Any, **options: Any) -> str:
    return page_html(build(*of, **options))


def render_pdf(record: RunRecord, items: Any, arrays: Any, path: str | Path) -> None:
    Path(path).write_bytes(pdf.pdf_bytes(build(record, items, arrays)))


def view_of(task: TaskResult) -> View:
    return VIEWS.get(task.kind, GENERIC)


def figures_of(task: TaskResult, items: Any, arrays: Any, record: Any = None) -> list[Plot | Gap]:
    return view_of(task).figures(task, items, arrays, record)


def findings_of(task: TaskResult) -> list[Text]:
    return findings(task, view_of(task))
