"""What a task printed, and parts of that, from where a reader left off."""

import base64
import json
import os

NOT_SHOWN = ("invocation", "stderr")


def of_answer(answer):
    """What a module says that it printed, as bytes; else its answer, as `ansible` shows it, without the arguments."""
    printed = {name: answer[name] for name in ("stdout", "stderr") if isinstance(answer.get(name), str)}
    if "stdout" not in printed:
        told = {name: answer[name] for name in answer if name not in NOT_SHOWN and not name.startswith("_ansible_")}
        printed["stdout"] = json.dumps(told, indent=4, sort_keys=True) + "\n"
    return {name: _encoded(text) for name, text in printed.items()}


def part_of(content, offset, most):
    """As `part`, of what is at hand."""
    size = len(content)
    begin = size if offset is None else min(max(0, offset), size)
    return _part(size, begin, content[begin : begin + max(0, most)])


def part(folder, name, offset, most):
    """{size, from, length, data}: from `offset` on, at most `most` bytes; an offset of None asks for the size alone."""
    try:
        descriptor = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return _part(0, 0, b"")
    try:
        size = os.fstat(descriptor).st_size
        begin = size if offset is None else min(max(0, offset), size)
        data = os.pread(descriptor, max(0, min(most, size - begin)), begin)
        return _part(size, begin, data)
    finally:
        os.close(descriptor)


def _part(size, begin, data):
    return {"size": size, "from": begin, "length": len(data), "data": base64.b64encode(data).decode("ascii")}


def _encoded(text):
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
