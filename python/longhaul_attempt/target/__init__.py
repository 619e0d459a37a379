"""Tasks on a target host: prepared, started once, looked at, ended and cleaned up there.

Runs on the target, from Ansible's module_utils or, on the node itself, from this folder: so it imports by relative names,
and knows nothing of Ansible. Python 3.8 and newer.
docs/architecture.md, "Tasks on targets", tells how the parts work together.
"""
