"""The workflows of GitHub Actions: whole, with few rights, and with commands that exist."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from gate_verdicts import verdict

from earmark.reports.gate.summary import render_comment

ROOT = Path(__file__).parents[3]
PUBLISHES = "pypa/gh-action-pypi-publish@release/v1"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path):
    # YAML 1.1 reads the key `on` as true.
    found = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in found.items()}


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return read(request.param)


def test_there_is_one_of_each():
    assert [path.stem for path in WORKFLOWS] == ["bench", "coverage", "docs", "release", "tests"]


def test_a_workflow_is_whole(workflow):
    assert workflow.keys() == {"name", "on", "permissions", "concurrency", "jobs"}
    if workflow["name"] == "release":
        assert workflow["on"] == {"push": {"tags": ["v*"]}}
    else:
        assert {"push", "pull_request"} <= workflow["on"].keys()
    assert workflow["concurrency"]["cancel-in-progress"] is True
    for job in workflow["jobs"].values():
        systems = [
            one["os"] for one in job.get("strategy", {}).get("matrix", {}).get("include", [])
        ]
        if systems:
            assert job["runs-on"] == "${{ matrix.os }}"
            assert set(systems) == {"ubuntu-24.04", "macos-15"}
        else:
            assert job["runs-on"] == "ubuntu-24.04"
        assert 0 < job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert step.keys() <= {"name", "id", "if", "uses", "run", "with", "continue-on-error"}


def test_an_action_is_of_github_itself_and_of_one_major_version(workflow):
    for step in steps(workflow):
        if "uses" in step and step["uses"] != PUBLISHES:
            assert re.fullmatch(r"actions/[a-z-]+(/[a-z]+)?@v\d+", step["uses"]), step["uses"]


def test_only_what_was_built_from_a_tag_is_published_and_no_token_is_kept():
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    used = [step["uses"] for step in jobs["publish"]["steps"]]
    assert used == ["actions/download-artifact@v7", PUBLISHES]
    assert "permissions" not in jobs["build"]
    assert any("twine check --strict" in step.get("run", "") for step in jobs["build"]["steps"])


def test_what_a_pull_request_changes_runs_without_the_right_to_write(workflow):
    assert "pull_request_target" not in workflow["on"]
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in json.dumps(workflow)
    for job in workflow["jobs"].values():
        if "permissions" in job and workflow["name"] != "release":
            assert job["permissions"] == {"pull-requests": "write"}
            assert "head.repo.full_name == github.repository" in job["if"]
            assert not any("run" in step or "checkout" in step["uses"] for step in job["steps"])


def test_no_expression_of_what_others_write_enters_a_shell(workflow):
    for step in steps(workflow):
        assert "${{" not in step.get("run", "") + step.get("with", {}).get("script", "")


def test_its_commands_exist(workflow):
    environments = configparser.ConfigParser(interpolation=None)
    environments.read(ROOT / "tox.ini")
    for step in steps(workflow):
        for command in step.get("run", "").splitlines():
            if named := re.search(r"tox run -e (\S+)", command):
                for name in named[1].split(","):
                    assert f"testenv:{name}" in environments
            if command.startswith(".ci/"):
                assert (ROOT / command).stat().st_mode & 0o100
        if script := step.get("run"):
            subprocess.run(["bash", "-n", "-c", script], check=True)


def test_the_cache_is_of_the_code_that_makes_what_is_kept():
    (keep,) = (step for step in steps(read(WORKFLOWS[0])) if "restore" in step.get("uses", ""))
    assert "restore-keys" not in keep["with"]
    globs = re.findall(r"'([^']+)'", keep["with"]["key"])
    for glob in globs:
        assert list(ROOT.glob(glob)), glob
    assert {"datasets/**", "models/**", "constraints.txt"} <= set(globs)


def test_the_summary_of_the_step_reaches_the_gate_through_tox():
    environments = configparser.ConfigParser(interpolation=None)
    environments.read(ROOT / "tox.ini")
    assert "GITHUB_STEP_SUMMARY" in environments["testenv:bench"]["pass_env"].split()


NODE = """
const context = {repo: {owner: 'o', repo: 'r'}, issue: {number: 7}};
const done = [];
const github = {
  paginate: async (call, options) => { done.push(['list', options]); return COMMENTS; },
  rest: {issues: {
    listComments: null,
    updateComment: async (options) => { done.push(['update', options]); },
    createComment: async (options) => { done.push(['create', options]); },
  }},
};
(async () => { SCRIPT })().then(() => console.log(JSON.stringify(done)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not at hand")
@pytest.mark.parametrize("known", [True, False])
def test_a_comment_is_updated_in_place_by_its_marker(tmp_path, known):
    (script,) = (
        step["with"]["script"]
        for step in steps(read(WORKFLOWS[0]))
        if "github-script" in step.get("uses", "")
    )
    body = render_comment(verdict())
    place = tmp_path / "runs" / "id" / "gate"
    place.mkdir(parents=True)
    (place / "comment.md").write_text(body)
    marker = body.splitlines()[0]
    comments = [
        {"id": 1, "user": {"type": "User"}, "body": f"{marker}\nquoted by somebody"},
        {"id": 2, "user": {"type": "Bot"}, "body": "<!-- earmark-gate: another -->\n"},
    ]
    if known:
        comments.append({"id": 3, "user": {"type": "Bot"}, "body": f"{marker}\nbefore"})
    program = NODE.replace("COMMENTS", json.dumps(comments)).replace("SCRIPT", script)
    ran = subprocess.run(
        ["node", "-e", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    listed, (what, options) = json.loads(ran.stdout)
    assert listed == ["list", {"owner": "o", "repo": "r", "issue_number": 7, "per_page": 100}]
    assert options["body"] == body
    if known:
        assert (what, options["comment_id"]) == ("update", 3)
    else:
        assert (what, options["issue_number"]) == ("create", 7)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not at hand")
def test_no_verdict_is_no_comment_and_no_failure(tmp_path):
    (script,) = (
        step["with"]["script"]
        for step in steps(read(WORKFLOWS[0]))
        if "github-script" in step.get("uses", "")
    )
    program = NODE.replace("COMMENTS", "[]").replace("SCRIPT", script)
    ran = subprocess.run(
        ["node", "-e", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [what for what, _ in json.loads(ran.stdout)] == ["list"]
