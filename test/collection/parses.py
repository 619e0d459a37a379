"""Parses a collection's Python as the oldest version that may run it: parses.py FOLDER"""

import ast
import sys
from pathlib import Path

plugins = Path(sys.argv[1]) / "plugins"
of_roles = {plugins / "modules" / name for name in ("async_job_alive.py", "async_job_claim.py")}
on_hosts = {*plugins.glob("modules/*.py"), *plugins.glob("module_utils/*.py")}
files = sorted(plugins.rglob("*.py"))
for file in files:
    content = file.read_text()
    ast.parse(content, str(file), feature_version=(3, 6) if file in of_roles else (3, 8) if file in on_hosts else (3, 11))
    # Which no parser of today minds.
    assert file not in of_roles or "import annotations" not in content, "%s needs Python 3.7" % file
print("parsed %d files" % len(files))
