#!/usr/bin/python
"""Ends tasks with all that they started, and proves it."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.longhaul_attempt.target.ending import end


def main():
    module = AnsibleModule(
        argument_spec={
            "jobs": {"type": "list", "elements": "dict", "required": True},
        },
        no_log=True,
    )
    module.exit_json(changed=True, **end(**module.params))


if __name__ == "__main__":
    main()
