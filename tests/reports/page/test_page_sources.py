"""The back matter of a report: citations in one block, and all that it takes to run it again."""

import re

from earmark.reports.content import Code, Facts, TableBlock, plain
from earmark.reports.page import back_matter as page_sources


def found(blocks, kind):
    return [block for block in blocks if isinstance(block, kind)]


def test_every_citation_stands_once_in_one_block(sample):
    (block,) = found(page_sources.bibtex(sample.record).blocks, Code)
    entries = [entry.citation for entry in (*sample.record.datasets, *sample.record.models)]
    for entry in entries:
        assert block.text.count(entry) == 1
    assert len(re.findall(r"^@", block.text, re.MULTILINE)) == len(set(entries))
    assert "% musav\n@inproceedings{musav2022," in block.text


def test_models_of_one_paper_share_its_entry_and_an_at_sign_begins_none(sample):
    models = [
        model.model_copy(update={"citation": "@misc{one}", "id": f"m@{n}"})
        for n, model in enumerate(sample.record.models)
    ]
    record = sample.record.model_copy(update={"models": models, "datasets": []})
    (block,) = page_sources.bibtex(record).blocks
    assert block.text == "% m(at)0, m(at)1, m(at)2, m(at)3, m(at)4\n@misc{one}"


def test_what_has_no_citation_is_named(sample):
    models = [model.model_copy(update={"citation": " "}) for model in sample.record.models[:2]]
    record = sample.record.model_copy(update={"models": models, "datasets": []})
    (said,) = page_sources.bibtex(record).blocks
    names = " and ".join(model.id for model in models)
    assert plain(said.text) == f"Without a citation: {names}."


def test_reproducibility_holds_command_suite_commit_versions_seeds_and_digests(sample):
    record = sample.record
    blocks = page_sources.reproducibility(record).blocks
    codes = {block.label: block.text for block in found(blocks, Code)}
    assert codes == {
        "Command": "earmark run sample --seed 7 --set 'title=a '\"'\"'b'\"'\"' c'",
        "Suite": record.suite.toml,
    }
    facts = {name: plain(said) for block in found(blocks, Facts) for name, said in block.rows}
    assert facts["seed"] == "7"
    assert facts["git commit"].endswith("(with uncommitted changes)")
    assert facts["suite (sha256)"] == record.suite.digest
    assert "torch 2.11.0" in facts["packages"] and "GPU: none" in facts["machine"]
    lists = {table.caption: table for table in found(blocks, TableBlock)}["Lists of items"]
    digests = {score.item_digest for task in record.tasks for score in task.scores}
    assert {row[-1].text for row in lists.rows} == digests


def test_how_each_model_was_run_says_what_the_record_lacks(sample):
    models = [
        sample.record.models[0].model_copy(
            update={"preprocessing": {"device": "cuda:0", "dtype": "bfloat16"}}
        ),
        sample.record.models[1],
    ]
    record = sample.record.model_copy(update={"models": models})
    tables = found(page_sources.reproduced(record), TableBlock)
    table = next(one for one in tables if one.caption == "How each model was run")
    assert [[cell.text for cell in row[2:]] for row in table.rows] == [
        ["all patches, mean", "cuda:0", "bfloat16"],
        ["all patches, mean", "not in the record", "not in the record"],
    ]


def test_prompts_are_listed_task_by_task(sample):
    first, *rest = sample.record.tasks
    protocol = {"prompts": "{label} | A {label} track", "ties": "shared"}
    task = first.model_copy(update={"protocol": protocol})
    record = sample.record.model_copy(update={"tasks": [task, *rest]})
    tables = found(page_sources.reproduced(record), TableBlock)
    (table,) = [one for one in tables if one.caption == "Prompts"]
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows == [["musav", "prompts", "{label} | A {label} track"]]
