"""Answers for one of our modules by code of ours that is kept on the host, compiled, beside the attempts.

Run there by `python -c`, with the folder of the attempts and the name of the code as arguments. Standard input has two
lines of JSON: the files of the code or null, and {verb, args}. Standard output gets one: {answer} or, without our
code, {missing: whether it may be sent}. What Ansible does for a module (unpack it, compile it and all that it loads)
takes several times as long as what it is to do.
"""

import json
import os
import pwd
import stat
import sys
import time

MARK = "longhaul-answer:"
PREFIX = ".code."
OLD_SECONDS = 30 * 86400


def main(base, name):
    files, request = (json.loads(sys.stdin.readline()) for _ in range(2))
    base = pwd.getpwuid(os.geteuid()).pw_dir + base[1:] if base.startswith("~/") else base
    code = os.path.join(base, PREFIX + name + "." + sys.implementation.cache_tag)
    is_safe = _is_safe(base)
    if is_safe and files is not None:
        _keep(code, files)
    verbs = _loaded(code) if is_safe and _is_ours(code) else None
    if verbs is None:
        said = {"missing": is_safe and files is None and not os.path.lexists(code) and os.access(base, os.W_OK)}
    else:
        said = {"answer": verbs[request["verb"]](**request["args"])}
    print("\n" + MARK + json.dumps(said))


def _loaded(code):
    """The verbs; None if the file has come to harm: it is removed then, and may come again."""
    sys.path.insert(0, code)
    try:
        from longhaul_attempt.target.verbs import VERBS
    except Exception:
        os.unlink(code)
        return None
    return VERBS


def _is_safe(base):
    """Whether nobody else can put a file of theirs in the place of one of ours there: as preparing.py asks of this folder."""
    try:
        found = os.stat(base)
    except OSError:
        return False
    others_write = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not others_write


def _is_ours(path):
    """Whether nobody else can have written it."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _keep(code, files):
    """One file, whole or not at all; without room there is none."""
    import importlib.util
    import marshal
    import tempfile
    import zipfile

    header = importlib.util.MAGIC_NUMBER + bytes(12)
    try:
        _remove_old(os.path.dirname(code))
        descriptor, half_made = tempfile.mkstemp(prefix=PREFIX, dir=os.path.dirname(code))
        try:
            with open(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
                for path, content in files.items():
                    archive.writestr(path + "c", header + marshal.dumps(compile(content, path, "exec", dont_inherit=True)))
            os.rename(half_made, code)
        except OSError:
            os.unlink(half_made)
    except OSError:
        pass  # Ansible brings it, each time


def _remove_old(base):
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if name.startswith(PREFIX) and _is_ours(path) and os.lstat(path).st_mtime < time.time() - OLD_SECONDS:
            os.unlink(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
