#!/usr/bin/python
"""Stands for the command of an attempt: the wrapper knows it by this name, and runs what the attempt's plan says."""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={}, no_log=True)
    module.fail_json(msg="longhaul_command is run by longhaul's async_wrapper alone, from a folder made by longhaul_prepare")


if __name__ == "__main__":
    main()
