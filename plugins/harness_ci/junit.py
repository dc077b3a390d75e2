"""JUnit XML for test reporters: text of models, data and plugins is escaped, and what XML cannot carry is replaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.api.commands import describe_gate, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import Check, Decision
    from harness.api.commands import Checked

UNGATED = "none of the gates applies here, so that nothing was passed"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(checked: Sequence[Checked], decision: Decision | None = None) -> str:
    """Return one test suite for each run and one test case for each gate; what did not pass is a failure.

    A run without gates is a skipped test. A decision is a test suite of its own, which fails with its sentence.
    """
    root = ET.Element("testsuites", name="harness")
    for item in checked:
        cases = [_case(item.run.suite, check) for check in item.checks]
        if not cases:
            cases = [ET.Element("testcase", classname=_xml(item.run.suite), name="gates")]
            ET.SubElement(cases[0], "skipped", message="the run has no gates")
        elif item.status == "ungated":
            cases.append(ET.Element("testcase", classname=_xml(item.run.suite), name="gates"))
            _fail(cases[-1], "ungated", UNGATED)
        suite = _add_suite(root, item.run.suite, cases, seconds=item.run.seconds)
        _property(suite, "run", item.run.id)
        _property(suite, "candidate", item.run.candidate.label)
    if decision is not None:
        case = ET.Element("testcase", classname="decision", name=_xml(f"policy {decision.policy}"))
        if decision.status != "passed":
            _fail(case, decision.status, decision.sentence)
        suite = _add_suite(root, "decision", [case])
        _property(suite, "decision", decision.id)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: str, check: Check) -> ET.Element:
    case = ET.Element("testcase", classname=_xml(suite), name=_xml(describe_gate(check)))
    if check.status == "passed":
        ET.SubElement(case, "system-out").text = _xml(check.sentence)
    elif check.status == "not_applicable":
        ET.SubElement(case, "skipped", message=_xml(check.sentence))
    else:
        _fail(case, check.status, check.sentence)
    return case


def _fail(case: ET.Element, status: str, sentence: str) -> None:
    failure = ET.SubElement(case, "failure", type=status, message=_xml(sentence))
    failure.text = _xml(sentence)


def _add_suite(root: ET.Element, name: str, cases: Iterable[ET.Element], *, seconds: float = 0.0) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=_xml(name), time=f"{seconds:.3f}", errors="0")
    ET.SubElement(suite, "properties")
    suite.extend(cases)
    found = suite.findall("testcase")
    suite.set("tests", str(len(found)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in found)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in found)))
    return suite


def _property(suite: ET.Element, name: str, value: str) -> None:
    properties = suite.find("properties")
    if properties is not None:
        ET.SubElement(properties, "property", name=name, value=_xml(value))


def _xml(text: str) -> str:
    """Return text that XML 1.0 can carry; the library escapes its markup."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", safe_text(text))
