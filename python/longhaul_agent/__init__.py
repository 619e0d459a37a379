"""Ansible, loaded once in a process that forks for each request; `python longhaul_agent` starts it."""
