"""What `session.recipe` gives, a record of the training plugin: read here, and never made."""

from typing import Any

Recipe = Any
"""Its fields: id, base, stages, links, then, separation, path, document."""
Rule = Any
"""Its `separation`: mode, near, exempt, suites."""
