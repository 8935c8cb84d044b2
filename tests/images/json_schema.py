#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# json_schema.py SCHEMA FOLDER: each FOLDER/KIND.*.json is what the schema says of KIND, and every
# kind has one.  With a member less, or one that is of another type, it is not.
import copy
import json
import pathlib
import sys

import jsonschema

schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
jsonschema.Draft202012Validator.check_schema(schema)
wrong, seen, refused = 0, set(), 0


def validator(kind):
    return jsonschema.Draft202012Validator({**schema, "$ref": "#/$defs/" + kind})


for path in sorted(pathlib.Path(sys.argv[2]).glob("*.json")):
    kind = path.name.split(".")[0]
    said = json.loads(path.read_text())
    seen.add(kind)
    for error in validator(kind).iter_errors(said):
        print(f"{path.name}: {list(error.path)}: {error.message[:200]}")
        wrong += 1
    for member in schema["$defs"][kind]["required"]:
        for change in (lambda o: o.pop(member), lambda o: o.update({member: {"odd": 1}})):
            other = copy.deepcopy(said)
            change(other)
            if validator(kind).is_valid(other):
                print(f"{path.name}: another {member} is not seen")
                wrong += 1
            refused += 1

documents = {k for k, v in schema["$defs"].items() if "version" in v.get("properties", {})}
for kind in documents ^ seen:
    print(f"{kind}: no such output, or not in the schema")
    wrong += 1
print(f"{len(seen)} kinds, {refused} changes refused")
sys.exit(wrong != 0 or refused < 100)
