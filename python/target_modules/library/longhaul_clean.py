#!/usr/bin/python
"""Removes the files of attempts that are over; that they were started stays on record for a while."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.longhaul_attempt.target.cleaning import clean


def main():
    module = AnsibleModule(
        argument_spec={
            "dirs": {"type": "list", "elements": "str", "required": True},
            "kept": {"type": "float", "required": True},
        },
        no_log=True,
    )
    module.exit_json(changed=True, **clean(**module.params))


if __name__ == "__main__":
    main()
