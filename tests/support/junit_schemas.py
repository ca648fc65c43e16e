"""What CI servers' schemas ask of JUnit XML, written down rule by rule.

Two of them: that of Jenkins' xUnit plug-in (junit-10.xsd), and that of Maven's Surefire reports,
whose root is a single suite, so that each suite of ours is held against it.
"""

import re

# Element: required attributes, optional attributes, children.
JENKINS = {
    "testsuites": ((), ("name", "time", "tests", "failures", "errors"), ("testsuite",)),
    "testsuite": (
        ("name", "tests", "failures", "errors"),
        ("time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"),
        ("testsuite", "properties", "testcase", "system-out", "system-err"),
    ),
    "properties": ((), (), ("property",)),
    "property": (("name", "value"), (), ()),
    "testcase": (
        ("name",),
        ("time", "classname", "group"),
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    "failure": ((), ("type", "message"), ()),
    "error": ((), ("type", "message"), ()),
    "skipped": ((), ("type", "message"), ()),
    "system-out": ((), (), ()),
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")
MIXED = {"failure", "error", "skipped", "system-out", "property"}


def assert_valid(element, schema=JENKINS):
    required, optional, children = schema[element.tag]
    assert set(required) <= set(element.keys()) <= set(required) | set(optional), element.tag
    if element.get("time") is not None and element.tag != "testcase":
        assert TIME.fullmatch(element.get("time"))
    if element.tag not in MIXED:
        assert not (element.text or "").strip(), f"text in {element.tag}"
    for child in element:
        assert child.tag in children, f"{child.tag} in {element.tag}"
        assert not (child.tail or "").strip()
        assert_valid(child, schema)


# surefire-test-report.xsd: counts and times are required, and what went wrong has a type.
SUREFIRE = {
    "testsuite": (
        ("name", "time", "tests", "errors", "skipped", "failures"),
        ("version", "group"),
        ("properties", "testcase"),
    ),
    "properties": ((), (), ("property",)),
    "property": (("name", "value"), (), ()),
    "testcase": (
        ("name", "time"),
        ("classname", "group"),
        ("failure", "error", "skipped", "system-out", "system-err"),
    ),
    "failure": (("type",), ("message",), ()),
    "error": (("type",), ("message",), ()),
    "skipped": ((), ("message",), ()),
    "system-out": ((), (), ()),
}


def assert_valid_everywhere(root):
    """Hold a document against both."""
    assert root.tag == "testsuites"
    assert_valid(root)
    for suite in root:
        assert_valid(suite, SUREFIRE)
