"""What a playbook hands on: the data of its `set_stats`, as JSON of bounded size."""

import json
import math
from collections.abc import Mapping

#: All outputs of a playbook together, as JSON.
MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
#: Of so many that were left out it is told why.
MAX_NOTES = 20
NAME_CHARACTERS = 200
#: Readers of JSON keep no more digits of a whole number.
LARGEST_WHOLE = 2**53


def bounded(values):
    """(outputs, omitted): as many as fit, the smallest first; and of the others, as far as there is room, why not."""
    texts, omitted = {}, {}
    for name, value in values.items():
        try:
            texts[str(name)] = json.dumps(_plain(value))
        except Exception as error:  # whatever a value does when it is read: the playbook's own end comes first
            omitted[str(name)] = str(error) or type(error).__name__
    outputs, left = {}, MAX_BYTES
    for name, text in sorted(texts.items(), key=lambda output: len(output[1])):
        left -= len(json.dumps(name)) + len(text) + len(": , ")
        if left >= 0:
            outputs[name] = json.loads(text)
        else:
            omitted[name] = "it has %d bytes, and all outputs together may have %d" % (len(text), MAX_BYTES)
    return outputs, notes(omitted)


def notes(omitted):
    """As many of them as may be told, their names in a bearable length."""
    return {name[:NAME_CHARACTERS]: why for name, why in list(omitted.items())[:MAX_NOTES]}


def _plain(value, depth=1):
    """Ansible's own kinds of text, numbers and containers as Python's."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > LARGEST_WHOLE:
            raise ValueError("it has a whole number of more than 53 bits: hand it on as text")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("it has a number that JSON doesn't have: %r" % float(value))
        return float(value)
    if depth > MAX_DEPTH:
        raise ValueError("it is nested more than %d levels deep" % MAX_DEPTH)
    if isinstance(value, Mapping):
        return {str(key): _plain(part, depth + 1) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(part, depth + 1) for part in value]
    return str(value)
