"""One attempt of a playbook: claimed once, supervised, detached, and truthful about how it ended.

An attempt is a folder. What is in it is the only evidence; nothing is kept in a process's memory alone.
docs/architecture.md tells which rule each file keeps.
"""
