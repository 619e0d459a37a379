"""Parts of what a task printed, from where a reader left off."""

import base64
import os


def part(folder, name, offset, most):
    """{size, from, length, data}: from `offset` on, at most `most` bytes; an offset of None asks for the size alone."""
    try:
        descriptor = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {"size": 0, "from": 0, "length": 0, "data": ""}
    try:
        size = os.fstat(descriptor).st_size
        begin = size if offset is None else min(max(0, offset), size)
        data = os.pread(descriptor, max(0, min(most, size - begin)), begin)
        return {"size": size, "from": begin, "length": len(data), "data": base64.b64encode(data).decode("ascii")}
    finally:
        os.close(descriptor)
