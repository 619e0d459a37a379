"""Whether Ansible's settings, which it reads when it is loaded, have changed since.

An agent that went on under old settings could answer with success what fails now. So it refuses, and another is started.
"""

import os


class Settings:
    """To be made before Ansible is loaded, so that a change meanwhile is seen too."""

    def __init__(self):
        self._paths = _config_files()
        self._seen = self._look()

    def watch(self, files):
        """Watch these too, as they are by now."""
        self._paths = [*self._paths, *files]
        self._seen = {**self._look(), **self._seen}

    def have_changed(self):
        return self._look() != self._seen

    def _look(self):
        return {path: _state(path) for path in self._paths}


def _config_files():
    """Where Ansible looks for ansible.cfg, in the order of its search; the first one there counts, so all are watched."""
    from_environment = os.environ.get("ANSIBLE_CONFIG")
    given = [] if from_environment is None else [from_environment, os.path.join(from_environment, "ansible.cfg")]
    return [*given, "ansible.cfg", os.path.expanduser("~/.ansible.cfg"), "/etc/ansible/ansible.cfg"]


def _state(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
