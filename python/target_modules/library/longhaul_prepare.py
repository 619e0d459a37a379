#!/usr/bin/python
"""Makes the folders of tasks' attempts: what is to be run, and the token that starts it once."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.longhaul_attempt.target.preparing import prepare


def main():
    module = AnsibleModule(
        argument_spec={
            "jobs": {"type": "list", "elements": "dict", "required": True},
            "base": {"type": "str"},
        },
        no_log=True,
    )
    module.exit_json(changed=True, **prepare(**module.params))


if __name__ == "__main__":
    main()
