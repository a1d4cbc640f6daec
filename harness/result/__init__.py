"""What scripts, CI and pull requests read of a verdict: result.json, junit.xml, summary.md."""

from harness.result.contract import make_result
from harness.result.junit import junit_of_error, junit_of_group, junit_xml
from harness.result.markdown import error_markdown, summary_markdown
from harness.result.schema import result_schema

__all__ = [
    "error_markdown",
    "junit_of_error",
    "junit_of_group",
    "junit_xml",
    "make_result",
    "result_schema",
    "summary_markdown",
]
