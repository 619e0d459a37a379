#!/usr/bin/python
"""Takes the place of Ansible's own wrapper for `async:` tasks: each is started once, whatever happens.

It needs an attempt folder, made by longhaul_prepare, as ANSIBLE_ASYNC_DIR and its token as LONGHAUL_TOKEN.
"""

import json
import sys

from ansible.module_utils.longhaul_attempt.target.apart import launch


def main():
    answer = launch(sys.argv[1:])
    print(json.dumps(answer))
    sys.exit(1 if answer["failed"] else 0)


if __name__ == "__main__":
    main()
