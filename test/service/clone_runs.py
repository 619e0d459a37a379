"""Clones rows of a stopped Temporal's visibility: python clone_runs.py DATABASE < JSON.

The JSON is an array of {of, workflow_id, run_id, start, close, attributes, memo}: which run's row is cloned, and what is
different in the clone. Times are microseconds since 1970, the memo is base64. The first row tells by its attributes'
values which columns they are in, so each value of its `of` is there once: {of, attributes}.
"""

import base64
import datetime
import json
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1])
connection.row_factory = sqlite3.Row
key, *clones = json.load(sys.stdin)
# Generated columns can't be written.
columns = [
    column["name"] for column in connection.execute("PRAGMA table_info(executions_visibility)")
]


def row(run_id):
    found = connection.execute("SELECT * FROM executions_visibility WHERE run_id = ?", [run_id])
    return {name: found_value for name, found_value in dict(found.fetchone()).items() if name in columns}


def time(microseconds):
    if microseconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(microseconds // 10**6, datetime.timezone.utc)
    fraction = f".{microseconds % 10**6:06}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}+00:00"


stored = {value: column for column, value in json.loads(row(key["of"])["search_attributes"]).items()}
column_of = {attribute: stored[value] for attribute, value in key["attributes"].items()}
models = {run_id: row(run_id) for run_id in {clone["of"] for clone in clones}}
rows = []
for clone in clones:
    attributes = json.loads(models[clone["of"]]["search_attributes"])
    for column in column_of.values():
        attributes.pop(column, None)
    attributes.update({column_of[name]: value for name, value in clone["attributes"].items()})
    rows.append(
        models[clone["of"]]
        | {
            "workflow_id": clone["workflow_id"],
            "root_workflow_id": clone["workflow_id"],
            "run_id": clone["run_id"],
            "root_run_id": clone["run_id"],
            "start_time": time(clone["start"]),
            "execution_time": time(clone["start"]),
            "close_time": time(clone["close"]),
            "search_attributes": json.dumps(attributes),
            "memo": base64.b64decode(clone["memo"]),
        }
    )
with connection:
    connection.executemany(
        f"INSERT INTO executions_visibility ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})",
        rows,
    )
connection.close()
