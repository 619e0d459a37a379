#!/usr/bin/python
"""A module of the project."""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "size": {"type": "int", "required": True}},
        supports_check_mode=True,
    )
    name, size = module.params["name"], module.params["size"]
    module.exit_json(changed=name.startswith("build"), text="%s is one of %d" % (name, size))


if __name__ == "__main__":
    main()
