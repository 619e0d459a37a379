"""python -I -S <this folder> VERB FOLDER ...: what the worker calls. Prints one line of JSON.

supervise FOLDER TOKEN                start the attempt once, as nobody's child; prints what became of the claim
end FOLDER MARKER CAUSE GRACE REASON  end it: cause on record, TERM, KILL after GRACE seconds, verified
members FOLDER MARKER                 the processes that belong to it, now
"""

import json
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from longhaul_attempt import ending, processes, supervisor  # noqa: E402


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    verb, folder, *rest = arguments
    if verb == "supervise":
        supervisor.start(folder, *rest)
    elif verb == "end":
        print(json.dumps(ending.end(folder, *rest)))
    elif verb == "members":
        print(json.dumps({"members": [found.describe() for found in processes.Attempt.read(folder, *rest).members()]}))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
