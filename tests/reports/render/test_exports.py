"""Tables as CSV and LaTeX: what they hold, to the letter, and text that would act there."""

import csv
import io

from earmark.reports.content import Cell, Column, TableBlock
from earmark.reports.page import tables
from earmark.reports.render import data_files as exports

TABLE = TableBlock(
    caption="50 % of A & B",
    columns=[
        Column("Model"),
        Column("R@10 (%)", numeric=True, group="To audio"),
        Column("n", numeric=True),
    ],
    rows=[
        [Cell("x_1"), Cell("39.0†", sub="[31.7, 46.3] a", sort=0.390244, tone="strong"), Cell("5")],
        [Cell("$y$ {z}"), Cell("—", mark="1"), Cell("−1,204", sort=-1204.0)],
    ],
    foot=[[Cell("chance"), Cell("6.1", sort=0.06098), Cell("")]],
    notes=["(1) not\nscored"],
)


def test_csv_to_the_letter():
    assert exports.to_csv(TABLE) == (
        'Model,To audio: R@10 (%),"To audio: R@10 (%), beside",value of To audio: R@10 (%),n\n'
        'x_1,39.0†,"[31.7, 46.3] a",0.390244,5\n'
        '$y$ {z},—,,,"-1,204"\n'
        "chance,6.1,,0.06098,\n"
    )


def test_latex_to_the_letter():
    assert exports.to_latex(TABLE) == (
        "\\begin{table}\n"
        "\\caption{50 \\% of A \\& B}\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        " & \\multicolumn{1}{c}{To audio} &  \\\\\n"
        "\\cmidrule(lr){2-2}\n"
        "Model & R@10 (\\%) & n \\\\\n"
        "\\midrule\n"
        "x\\_1 & \\textbf{39.0\\textsuperscript{\\dag}} {\\scriptsize [31.7, 46.3] a} & 5 \\\\\n"
        "\\$y\\$ \\{z\\} & ---\\textsuperscript{(1)} & \\ensuremath{-}1,204 \\\\\n"
        "\\midrule\n"
        "chance & 6.1 &  \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "% (1) not scored\n"
        "\\end{table}\n"
    )


def test_a_formula_in_the_data_does_not_run_in_a_spreadsheet():
    cells = [["=1+1"], ["@SUM(A1)"], ["-x"], ["-1.5"], ["+3.1"]]
    table = TableBlock("T", [Column("a")], [[Cell(text)] for (text,) in cells])
    assert exports.to_csv(table).splitlines()[1:] == ["'=1+1", "'@SUM(A1)", "'-x", "-1.5", "+3.1"]


def test_csv_of_the_sample_reads_back_as_the_record_has_it(sample):
    task = sample.record.tasks[0]
    table = tables.verdict(
        task, metric="pairwise_accuracy_half_credit", subset="gt", dimension="arousal"
    )
    rows = list(csv.DictReader(io.StringIO(exports.to_csv(table))))
    scores = {
        score.model: score.value
        for score in task.scores
        if (score.metric, score.subset, score.dimension)
        == ("pairwise_accuracy_half_credit", "gt", "arousal")
    }
    for row in rows[: len(scores)]:
        assert float(row["value of Accuracy (%, ties half)"]) == round(scores[row["Model"]], 10)


def test_latex_of_a_long_table_is_cut_and_says_so_while_csv_has_all():
    most = exports.MOST_ROWS
    table = TableBlock("T", [Column("a")], [[Cell(str(n))] for n in range(most + 7)])
    written = exports.to_latex(table)
    assert f"% the first {most} of {most + 7} rows; the CSV has all" in written
    assert f"\n{most - 1} \\\\\n" in written and f"\n{most} \\\\\n" not in written
    assert len(exports.to_csv(table).splitlines()) == most + 8


def test_hostile_text_is_escaped_in_latex_and_cannot_end_a_comment(nasty):
    table = TableBlock(nasty, [Column(nasty)], [[Cell(nasty)]], notes=[f"{nasty}\n\\input{{x}}"])
    written = exports.to_latex(table)
    assert "$x_1$" not in written.split("%")[0]
    assert r"\textbackslash{}" in written
    assert sum(line.startswith("% ") for line in written.splitlines()) == 1
    assert not any(line.startswith("\\input") for line in written.splitlines())
