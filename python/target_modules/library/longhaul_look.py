#!/usr/bin/python
"""One look at tasks' attempts, and at async jobs of others: how they stand, and what they printed since the last one."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.longhaul_attempt.target.looking import look


def main():
    module = AnsibleModule(
        argument_spec={
            "jobs": {"type": "list", "elements": "dict", "required": True},
            "total": {"type": "int", "default": 4 * 1024 * 1024},
        },
        no_log=True,
    )
    module.exit_json(changed=False, **look(**module.params))


if __name__ == "__main__":
    main()
