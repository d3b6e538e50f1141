"""Holds the nodes of layer streams, and copies of them with one fault each, against the schema of a node.

schema_faults.py SCHEMA STREAM...     prints "op NAME" for each operation seen; status 1 and a line for
each node that is refused and each fault that is not
"""
import copy
import json
import sys

from jsonschema import Draft202012Validator


def nodes(path):
    with open(path, "rb") as stream:
        head = json.loads(stream.readline())
        return [json.loads(stream.readline()) for _ in range(head["nodes"])]


def wrong_values(value):
    """What a parameter with this value may never be."""
    yield {"an": "object"}
    if not isinstance(value, str):
        yield "-1 +"  # neither a word nor, by the minus that leads, an extent
    if isinstance(value, bool):
        yield 1
    elif isinstance(value, int):
        yield value + 0.5
    elif isinstance(value, list):
        yield 7
        yield value + [None]
        yield value + [2**64]


def faults(node):
    """Pairs of what is wrong and the node with it."""
    def changed(what, change):
        other = copy.deepcopy(node)
        change(other)
        return what, other

    yield changed("a key too many", lambda n: n.update(extra=1))
    yield changed("a parameter too many", lambda n: n["params"].update(extra=1))
    yield changed("no params", lambda n: n.pop("params"))
    yield changed("no outputs", lambda n: n.update(out=[]))
    yield changed("too many outputs", lambda n: n.update(out=list("abcdefghijklmnopq")))
    if node["in"]:
        yield changed("a null first input", lambda n: n["in"].__setitem__(0, None))
    if node["op"] != "concat":
        yield changed("too many inputs", lambda n: n["in"].extend(["a"] * 5))
    for key in node["params"]:
        yield changed(f"no {key}", lambda n: n["params"].pop(key))
        if node["params"][key] is not None:
            for value in wrong_values(node["params"][key]):
                yield changed(f"{key} {value!r}", lambda n: n["params"].update({key: value}))
    for i, tensor in enumerate(node["tensors"]):
        slot = tensor["slot"]
        yield changed(f"no tensor {slot}", lambda n: n["tensors"].pop(i))
        yield changed(f"another slot for {slot}", lambda n: n["tensors"][i].update(slot="other"))
        yield changed(f"{slot} float33", lambda n: n["tensors"][i].update(dtype="float33"))
        yield changed(f"{slot} with axes of others", lambda n: n["tensors"][i].update(axes=["z"]))
        if "axes" in tensor:
            yield changed(f"{slot} without axes", lambda n: n["tensors"][i].pop("axes"))
            yield changed(f"{slot} with an axis twice", lambda n: n["tensors"][i]["axes"].append(tensor["axes"][0]))


def main(schema, streams):
    with open(schema) as f:
        schema = json.load(f)
    Draft202012Validator.check_schema(schema)
    fits = Draft202012Validator(schema).is_valid
    bad, seen, tried = 0, {}, 0
    for path in streams:
        for node in nodes(path):
            problems = [] if fits(node) else ["refused as it is"]
            seen[node["op"]] = seen.get(node["op"], 0) + 1
            for what, other in faults(node) if seen[node["op"]] <= 3 else ():
                tried += 1
                if fits(other):
                    problems.append(f"not refused: {what}")
            for problem in problems:
                print(f"{path}: node {node['name']} ({node['op']}): {problem}")
            bad += len(problems)
    print(*(f"op {op}" for op in seen), sep="\n")
    print(f"{tried} faults, {bad} problems")
    return bad > 0 or tried == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
