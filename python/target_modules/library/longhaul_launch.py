#!/usr/bin/python
"""Starts the commands of prepared attempts, each once, as our async_wrapper does: that is what Ansible calls for modules."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.longhaul_attempt.target.apart import launch_commands


def main():
    module = AnsibleModule(
        argument_spec={"jobs": {"type": "list", "elements": "dict", "required": True}},
        no_log=True,
    )
    module.exit_json(changed=True, **launch_commands(**module.params))


if __name__ == "__main__":
    main()
