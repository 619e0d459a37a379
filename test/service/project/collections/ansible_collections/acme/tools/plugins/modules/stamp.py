#!/usr/bin/python
"""A module of the collection."""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"text": {"type": "str", "required": True}}, supports_check_mode=True)
    module.exit_json(changed=True, stamp="<%s>" % module.params["text"])


if __name__ == "__main__":
    main()
