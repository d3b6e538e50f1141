"""The layer stream as bytes: exact layout, every refusal, and altering a document."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from planetbridging.graph import Builder, Graph, Input, Node, Tensor, Unsupported, bind_inputs
from planetbridging.graph import BridgeError
from planetbridging.stream import StreamDocument, StreamError, check_dim, decode, write


def small_graph() -> Graph:
    """y = relu(x W^T + b), W given as [i,o], and b tied to a constant before it."""
    graph = Graph("test", {"numpy": "0"}, "small", [Input("x", "float32", ["batch", 2])], ["y"])
    weight = np.arange(6, dtype=np.float64).reshape(2, 3)
    graph.nodes = [
        Node("c", "constant", [], {"shape": [3]}, [Tensor("value", np.ones(3, np.float32))]),
        Node("d", "dense", ["x"], {"in_features": 2, "out_features": 3, "bias": True},
             [Tensor("weight", weight, axes=["i", "o"], source="w"),
              Tensor("bias", same="c.value")]),
        Node("a", "relu", ["d"], {}, [], ["y"]),
    ]
    return graph


def written(graph: Graph) -> bytes:
    out = io.BytesIO()
    write(graph, out)
    return out.getvalue()


def test_the_bytes_are_these(streamed):
    lines = (
        b'{"loom_stream":2,"planet":"test","versions":{"numpy":"0"},"model":"small","mode":"eval",'
        b'"nodes":3,"bytes":60,"inputs":[{"name":"x","dtype":"float32","shape":["batch",2]}],'
        b'"outputs":["y"]}\n'
        b'{"name":"c","op":"constant","in":[],"params":{"shape":[3]},'
        b'"tensors":[{"slot":"value","dtype":"float32","shape":[3]}]}\n'
        b'{"name":"d","op":"dense","in":["x"],'
        b'"params":{"in_features":2,"out_features":3,"bias":true},'
        b'"tensors":[{"slot":"weight","dtype":"float64","shape":[2,3],"axes":["i","o"],'
        b'"source":"w"},'
        b'{"slot":"bias","same":"c.value"}]}\n'
        b'{"name":"a","op":"relu","in":["d"],"params":{},"tensors":[],"out":["y"]}\n')
    payload = np.ones(3, "<f4").tobytes() + np.arange(6, dtype="<f8").tobytes()
    assert written(small_graph()) == lines + payload + b'{"end":true,"bytes":60}\n'
    streamed(small_graph())


def test_transposed_and_big_endian_arrays_travel_in_c_order_little_endian():
    graph = small_graph()
    graph.nodes[1].tensors[0].array = np.arange(6, dtype=">f8").reshape(3, 2).T
    document = StreamDocument.parse(io.BytesIO(written(graph)))
    np.testing.assert_array_equal(document.array("d", "weight"), [[0, 2, 4], [1, 3, 5]])


def test_parse_and_write_is_the_identity():
    data = written(small_graph())
    out = io.BytesIO()
    StreamDocument.parse(io.BytesIO(data)).write(out)
    assert out.getvalue() == data


def test_every_prefix_is_refused():
    data = written(small_graph())
    for length in range(len(data)):
        with pytest.raises(StreamError):
            StreamDocument.parse(io.BytesIO(data[:length]))


def test_a_graph_comes_back():
    graph = StreamDocument.parse(io.BytesIO(written(small_graph()))).graph()
    assert written(graph) == written(small_graph())


def test_alter_and_drop_give_well_formed_streams():
    document = StreamDocument.parse(io.BytesIO(written(small_graph())))
    document.alter("d", "weight", document.array("d", "weight") * 2)
    document.drop("d", "bias")
    document.node("d")["params"]["bias"] = False
    out = io.BytesIO()
    document.write(out)
    again = StreamDocument.parse(io.BytesIO(out.getvalue()))
    np.testing.assert_array_equal(again.array("d", "weight"), [[0, 2, 4], [6, 8, 10]])
    assert again.size() == 60 and [t["slot"] for t in again.node("d")["tensors"]] == ["weight"]


def test_ties_are_followed():
    document = StreamDocument.parse(io.BytesIO(written(small_graph())))
    np.testing.assert_array_equal(document.values("d", "bias"), [1, 1, 1])
    with pytest.raises(KeyError):
        document.array("a", "weight")


def test_bfloat16_bits_are_decoded_exactly():
    bits = np.array([0x3F80, 0xC049, 0x0001, 0x7F80], np.uint16)
    assert decode(bits, "bfloat16").tolist() == [1.0, -3.140625, 2.0**-133, np.inf]


def altered(change) -> Graph:
    graph = small_graph()
    change(graph)
    return graph


@pytest.mark.parametrize("change, message", [
    (lambda g: setattr(g.nodes[2], "op", "sort"), "a: unknown operation sort"),
    (lambda g: setattr(g.nodes[2], "inputs", ["z"]), "a: input z is not made before it"),
    (lambda g: setattr(g.nodes[2], "name", "d"), "node 'd': the name is empty or already taken"),
    (lambda g: setattr(g.nodes[2], "outputs", ["x"]),
     "tensor 'x': the name is empty or already taken"),
    (lambda g: setattr(g, "outputs", ["q"]), "output q: no node makes it"),
    (lambda g: g.nodes[1].params.pop("bias"),
     "d: dense has parameters ['in_features', 'out_features'], "
     "expected ['bias', 'in_features', 'out_features']"),
    (lambda g: g.nodes[1].params.update(bias=1), "d: bias is 1, expected bool"),
    (lambda g: setattr(g.nodes[1].tensors[0], "axes", ["o", "o"]),
     "d.weight: axes ['o', 'o'] of a tensor of rank 2, expected ['i', 'o'] in some order"),
    (lambda g: setattr(g.nodes[1].tensors[0], "axes", None),
     "d.weight: axes None of a tensor of rank 2, expected ['i', 'o'] in some order"),
    (lambda g: setattr(g.nodes[1].tensors[1], "same", "z.value"),
     "d.bias: tied to z.value, which does not stand before it"),
    (lambda g: setattr(g.nodes[1].tensors[0], "slot", "kernel"),
     "d.kernel: dense has no such slot, or has it twice"),
    (lambda g: setattr(g.nodes[0].tensors[0], "dtype", "complex64"),
     "c.value: dtype 'complex64' is not one of float64, float32, float16, bfloat16, int64, int32, "
     "int16, int8, uint64, uint32, uint16, uint8, bool"),
    (lambda g: g.inputs[0].shape.append("s-1)"), "input x: 's-1)' is not a dimension"),
    (lambda g: g.inputs[0].shape.append(-1), "input x: -1 is not a dimension"),
])
def test_a_graph_that_breaks_a_rule_writes_nothing(change, message):
    out = io.BytesIO()
    with pytest.raises(StreamError) as error:
        write(altered(change), out)
    assert str(error.value) == message
    assert out.getvalue() == b""


def test_a_parameter_must_be_finite():
    graph = small_graph()
    graph.nodes[2].op, graph.nodes[2].params = "leaky_relu", {"negative_slope": float("nan")}
    with pytest.raises(StreamError, match="^a: a parameter is not a finite number$"):
        write(graph, io.BytesIO())


def test_a_line_has_at_most_a_mebibyte():
    graph = small_graph()
    graph.nodes[1].tensors[0].source = "w" * (1 << 20)
    out = io.BytesIO()
    with pytest.raises(StreamError) as error:
        write(graph, out)
    assert str(error.value) == "d: its line has 1048793 bytes, a layer stream allows 1048576"
    assert out.getvalue() == b""


@pytest.mark.parametrize("dim", [0, 7, "batch", "2*batch", "s-1", "(a+b)//2*c"])
def test_dimensions(dim):
    check_dim(dim, "here")


@pytest.mark.parametrize("dim", ["", "a/b", "a%b", "f(a)", "a.b", "-a", "1.5", "a;b", True, 1.0,
                                 None])
def test_what_is_no_dimension(dim):
    with pytest.raises(StreamError):
        check_dim(dim, "here")


@pytest.mark.parametrize("line, message", [
    (b"", "the head is cut short"),
    (b"{}\n", "loom_stream is None, expected 2"),
    (b"[]\n", "the head is not an object"),
    (b'{"loom_stream":2,"loom_stream":2}\n', "the head is not a line of JSON: a key stands twice"),
    (b'{"loom_stream":2}\n', "nodes is None, expected a count"),
    (b'{"loom_stream":2,"nodes":1}\n', "node 0 is cut short"),
    (b" " * (1 << 20) + b"\n", "the head is longer than 1048576 bytes"),
])
def test_malformed_streams(line, message):
    with pytest.raises(StreamError) as error:
        StreamDocument.parse(io.BytesIO(line))
    assert str(error.value) == message


def test_a_wrong_digest_is_refused():
    data = written(small_graph())
    with_digest = data.replace(b'"shape":[3]}]}', b'"shape":[3],"sha256":"' + b"0" * 64 + b'"}]}')
    with pytest.raises(StreamError, match="^c.value: the bytes do not have the stated sha256$"):
        StreamDocument.parse(io.BytesIO(with_digest))


def test_the_schemas_refuse_what_they_should(validators):
    document = StreamDocument.parse(io.BytesIO(written(small_graph())))
    dense = json.dumps(document.node("d"))
    for wrong in ('"extra":1,"name"', '"params":{},"x"', '"op":"sort","n"'):
        line = json.loads(dense)
        line.update(json.loads("{" + wrong.split(',"')[0] + "}"))
        assert not validators["node"].is_valid(line)
    assert validators["node"].is_valid({"name": "r", "op": "relu", "params": {}})
    assert not validators["node"].is_valid({"name": "g", "op": "gelu", "params": {}})
    assert not validators["head"].is_valid({**document.head, "mode": "train"})
    assert not validators["head"].is_valid({**document.head, "extra": 1})
    assert not validators["end"].is_valid({"end": False, "bytes": 0})


def test_builder_names_and_ties():
    builder = Builder("test", {}, "m")
    x = builder.input("x", "float32", ["batch", 2])
    weight = np.eye(2)
    first = builder.dense("net", x, weight, keys=("w", None))
    second = builder.dense("net", first, weight, keys=("w", None))
    third = builder.dense("a b", second, weight, axes=("i", "o"), keys=("w", None))
    graph = builder.finish([third, x], ["y", "same"])
    assert [n.name for n in graph.nodes] == ["net", "net_2", "a_b", "same_is"]
    assert graph.nodes[1].tensors[0].same == "net.weight"
    assert graph.nodes[2].tensors[0].same is None
    assert graph.outputs == ["y", "same"] and graph.nodes[2].outputs == ["y"]


def test_unsupported_lists_each_problem_once():
    error = Unsupported([("a", "Conv2d", "aten.conv2d"), ("b", "LSTM", "layer"),
                         ("a", "Conv2d", "aten.conv2d")], ["dense"])
    assert str(error) == ("cannot be expressed: a (Conv2d): aten.conv2d; b (LSTM): layer. "
                          "Supported: dense")


def test_bind_inputs():
    assert bind_inputs(["a"], 1) == {"a": 1}
    assert bind_inputs(["a"], {"other": 1}) == {"a": 1}
    assert list(bind_inputs(["a", "b"], {"b": 2, "a": 1}).items()) == [("a", 1), ("b", 2)]
    with pytest.raises(BridgeError, match="^inputs are a, c; the network wants a, b$"):
        bind_inputs(["a", "b"], {"a": 1, "c": 2})
    with pytest.raises(BridgeError, match="^1 inputs given; the network wants a, b$"):
        bind_inputs(["a", "b"], [1])
