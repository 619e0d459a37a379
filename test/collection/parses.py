"""Parses a collection's Python as the oldest version that may run it: parses.py FOLDER"""

import ast
import sys
from pathlib import Path

plugins = Path(sys.argv[1]) / "plugins"
on_hosts = {*plugins.glob("modules/*.py"), *plugins.glob("module_utils/*.py")}
files = sorted(plugins.rglob("*.py"))
for file in files:
    ast.parse(file.read_text(), str(file), feature_version=(3, 8) if file in on_hosts else (3, 11))
print("parsed %d files" % len(files))
