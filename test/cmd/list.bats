load helper

@test "list: layers has the rows of lib/layer/layers.def in order" {
	loom-list layers >out
	sed -n 's/^LAYER(\(.*\))$/\1/p' "$TOP/lib/layer/layers.def" >expected
	awk '{ print $1 }' out >found
	same found expected
}

@test "list: a layer's line has its inputs and outputs, parameters and slots" {
	loom-list layers >out
	grep -E '^dense +1->1 +in_features,out_features,bias +weight,bias +y' out
	grep -E '^add +2->1 +- +- +z' out
	grep -E '^concat +1\+->1 +axis +- +y' out
}

@test "list: dtypes has the rows of lib/num/dtypes.def in order, with their bits" {
	loom-list dtypes >out
	sed -n 's/^DTYPE([^"]*"\([^"]*\)".*/\1/p' "$TOP/lib/num/dtypes.def" >expected
	awk '{ print $1 }' out >found
	same found expected
	grep -E '^float32 +32$' out
	grep -E '^bfloat16 +16$' out
}

@test "list: formats says what is read, written, exported and recognised" {
	loom-list formats >out
	grep -E '^entity +model +read write +a checkpoint of Loom$' out
	grep -E '^npy +tensors +read write +' out
	grep -E '^safetensors +either +read write export +' out
	grep -E '^onnx +model +read +export +' out
	grep -E '^gguf +model +read +export +' out
	grep -E '^raw +tensors +write +' out
	for name in tensorrt executorch coreml savedmodel torchscript tflite orbax paddle mxnet caffe \
		darknet mlc; do
		grep -E "^$name +model +recognised +" out
	done
}

@test "list: --json has the same names in the same order" {
	for table in layers formats dtypes; do
		loom-list "$table" | awk '{ print $1 }' >expected
		loom-list --json "$table" >out
		"$PYTHON" -c 'import json, sys; [print(row["name"]) for row in json.load(sys.stdin)]' \
			<out >found
		same found expected
	done
}

@test "list: --json layers says of each parameter what it may be, of each slot its axes and when it is there" {
	loom-list --json layers >out
	"$PYTHON" - <<-'PY'
		import json
		table = {row["name"]: row for row in json.load(open("out"))}
		def params(op): return {p.pop("name"): p for p in table[op]["params"]}
		def slots(op): return [(s["name"], s["axes"] and "".join(s["axes"]), s["when"]) for s in table[op]["slots"]]
		dense = params("dense")
		assert dense["in_features"] == {"kind": "size", "null": False, "least": 1, "most": 2**24}, dense
		assert dense["bias"] == {"kind": "bool", "null": False}
		assert slots("dense") == [("weight", "oi", None), ("bias", "o", {"param": "bias", "least": 1})]
		assert params("gelu")["approximate"] == {"kind": "enum", "null": False, "names": ["none", "tanh"]}
		assert params("layernorm")["eps"] == {"kind": "real", "null": False}
		assert params("attention")["scale"] == {"kind": "real", "null": True}
		conv = params("conv2")
		assert conv["stride"].pop("most") > 1
		assert conv["stride"] == {"kind": "ints", "null": False, "least": 1, "count": 2}
		assert slots("conv2")[0] == ("weight", "fchw", None)
		assert params("reshape")["shape"] == {"kind": "dims", "null": False, "least": 0, "most": 2**63 - 1, "count": None}
		assert params("softmax")["axis"] == {"kind": "int", "null": False, "least": -16, "most": 15}
		assert slots("constant") == [("value", None, None)]
		assert slots("rnn")[-1] == ("b2", "h", {"param": "biases", "least": 2})
		assert table["residual"]["inputs"] == [1, 2] and table["lstm"]["outputs"] == [1, 3]
	PY
}

@test "list: the Python package's names are those of the table" {
	loom-list layers | awk '{ print $1 }' | sort >expected
	"$PYTHON" -c 'from planetbridging.vocabulary import PARAMS
print(*sorted(PARAMS), sep="\n")' >found
	same found expected
}

# schemas/layer-stream-node.json is made from the table: each node of the fixtures fits, and none does
# with one thing wrong.
@test "list: the schema of a node takes the fixtures' and refuses them with one fault" {
	"$PYTHON" "$TOP/test/cmd/schema_faults.py" "$TOP/schemas/layer-stream-node.json" "$FIXTURES"/layers/*/*/net.stream >out
	loom-list layers | awk '{ print $1 }' | sort >expected
	sed -n 's/^op //p' out | sort >found
	same found expected
}

@test "list: layer-stream(5) describes every operation, with its parameters and slots" {
	loom-list --json layers >out
	"$PYTHON" - "$TOP/man/layer-stream.5" >found <<-'PY'
		import json, re, sys
		page = open(sys.argv[1]).read()
		page = re.search(r"^\.Sh OPERATIONS$.*?^\.Sh ", page, re.S | re.M).group()
		entries = re.findall(r"^\.It Li (.*)\n((?:(?!\.It |\.El).*\n)*)", page, re.M)
		text = {name: body for names, body in entries for name in names.split(" , ")}
		table = json.load(open("out"))
		for op in table:
		    words = re.split(r"[\s,]+", text.get(op["name"], ""))
		    print(op["name"], *[x["name"] for x in op["params"] + op["slots"] if x["name"] not in words])
		print(*sorted(set(text) - {op["name"] for op in table}))
	PY
	{ loom-list layers | awk '{ print $1 }' && echo; } >expected
	same found expected
}

@test "list: the example of the page" {
	loom-list layers | grep bias >out
	[ "$(wc -l <out)" -ge 1 ]
}

@test "list: --help and --version go to standard output" {
	run --separate-stderr -0 loom-list --help
	[ "${lines[0]}" = "usage: loom-list [--json] layers|formats|dtypes" ]
	[ "$stderr" = "" ]
	run --separate-stderr -0 loom-list -V
	[ "$output" = "loom-list $(sed -n 's/^VERSION *:= *//p' "$TOP/Makefile")" ]
	[ "$stderr" = "" ]
}

@test "list: a wrong option, table or number of operands is status 2" {
	run --separate-stderr -2 loom-list --jsen layers
	[ "$output" = "" ]
	[ "${stderr_lines[0]}" = "loom-list: --jsen: no such option, or more than one starts so" ]
	[ "${stderr_lines[1]}" = "Try 'loom-list --help'." ]
	run --separate-stderr -2 loom-list -x layers
	[ "${stderr_lines[0]}" = "loom-list: -x: no such option" ]
	run --separate-stderr -2 loom-list --json=yes layers
	[ "${stderr_lines[0]}" = "loom-list: --json=yes: this option takes no value" ]
	run --separate-stderr -2 loom-list
	[ "${stderr_lines[0]}" = "usage: loom-list [--json] layers|formats|dtypes" ]
	run --separate-stderr -2 loom-list layers dtypes
	run --separate-stderr -2 loom-list planets
	[ "$output" = "" ]
	[ "$stderr" = "loom-list: planets: no such table: layers, formats and dtypes are there" ]
}

@test "list: a full disk and a closed output are status 4" {
	full_disk loom-list layers
	full_disk loom-list --help
	run --separate-stderr -4 bash -c 'loom-list layers >&-'
	[ "$stderr" = "loom-list: standard output: Bad file descriptor" ]
}
