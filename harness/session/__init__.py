"""The Python API: one `Session` behind the command line, `assert_gate`, notebooks and scripts of one's own."""

from harness.session.options import CandidateOptions, RunOptions, SessionOptions
from harness.session.session import Session, open_session

__all__ = ["CandidateOptions", "RunOptions", "Session", "SessionOptions", "open_session"]
