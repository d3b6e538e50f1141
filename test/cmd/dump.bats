load helper
load edits

E=$FIXTURES/entity

# ---- what is shown ----

@test "dump: the reference's file, by name and on standard input, file or pipe" {
	cat >expected <<-'END'
		format entity, Loom + bridge
		input x float32 [..., 4]
		node layers.0 dense cell=0 in=x out=layers.0 in_features=4 out_features=3 bias=true
		weight layers.0.weight float32 [3, 4] min=-1.817922 max=2.6544607 mean=0.07979215 sha256=1b1f885e61f353e8
		weight layers.0.bias float32 [3] min=-1.8633059 max=0.89568824 mean=-0.29285693 sha256=9197bf0448a3c88a
		node layers.0.tanh tanh cell=0 in=layers.0 out=layers.0.tanh
		node layers.1 dense cell=1 in=layers.0.tanh out=layers.1 in_features=3 out_features=2 bias=true
		weight layers.1.weight float32 [2, 3] min=-2.2050176 max=0.96952945 mean=-0.4057803 sha256=a0d9e48afa9f4559
		weight layers.1.bias float32 [2] min=-1.2011656 max=-0.093840845 mean=-0.6475032 sha256=218c7d7cdb42bf29
		output layers.1
	END
	entity-dump "$E/reference-stream-dense/model.entity" >out
	same out expected
	entity-dump <"$E/reference-stream-dense/model.entity" >out
	same out expected
	cat "$E/reference-stream-dense/model.entity" | entity-dump - >out
	same out expected
}

@test "dump: hashes are those of the stored bytes" {
	tail -c +769 "$E/reference-stream-dense/model.entity" | head -c 48 | sha256sum | cut -c 1-16 >sum
	entity-dump "$E/reference-stream-dense/model.entity" | grep -q "weight layers.0.weight .* sha256=$(cat sum)$"
}

@test "dump: a graph of ours, with names, a tied tensor, sources and an escaped model name" {
	cat >expected <<-'END'
		format entity, Loom + bridge
		planet pytorch
		model two <outputs>
		input x float32 [batch, 3]
		node net.0 dense cell=0 in=x out=net.0 in_features=3 out_features=2 bias=true
		weight net.0.weight float32 [2, 3] min=-1 max=2 mean=0.4375 sha256=24b8b4678431001e source=first.T
		weight net.0.bias float32 [2] min=-2 max=1 mean=-0.5 sha256=ee4ac73c2bd27756
		node act relu cell=0 in=net.0 out=act
		node g gelu in=act out=g approximate=none
		node half dense cell=1 in=g out=half in_features=2 out_features=2 bias=true
		weight half.weight float16 [2, 2] min=-0.75 max=2 mean=0.6875 sha256=0df31c1669c402e4
		weight half.bias float16 [2] min=-0.25 max=0.5 mean=0.125 sha256=1c8a9a9cc8fd84d7
		node tied dense in=half out=tied in_features=2 out_features=2 bias=false
		weight tied.weight same=half.weight
		node c constant in= out=c shape=[2]
		weight c.value float32 [2] min=10 max=20 mean=15 sha256=c1959622b86c4c4d
		node y add in=tied,c out=y
		output y
		output act
	END
	entity-dump "$E/bridge.entity" >out
	same out expected
}

@test "dump: codes are shown decoded, with their scale" {
	run -0 entity-dump "$E/spec-example-a/model.entity"
	# The codes are 4 -6 -4 -3 -1 0 1 -1 4 6 7 -7, their sum is 0 before the scale rounds them.
	[[ ${lines[3]} = "weight layers.0.weight int4 [3, 4] scale=0.09285714 min=-0.65 max=0.65 mean="* ]]
	[[ ${lines[3]} = *" sha256=$(printf '\x4a\xcd\xf0\x1f\x46\x79' | sha256sum | cut -c 1-16)" ]]
}

@test "dump: an empty network" {
	run -0 entity-dump "$E/spec-example-c/model.entity"
	[ "$output" = "format entity, plain Loom
input x float32 [...]
output x" ]
}

@test "dump: names from a file cannot break a line" {
	"$PYTHON" -c 'import numpy as n; n.savez("t.npz", **{"a\nb": n.ones(1, "f4"), "c\td": n.ones(1, "f4")})'
	run -0 entity-dump t.npz
	[ "${#lines[@]}" = 3 ]
	[[ "${lines[1]}" = "tensor a?b float32 [1] "* ]]
	[[ "${lines[2]}" = "tensor c?d float32 [1] "* ]]
	sed '2s/"source":"[^"]*"/"source":"s\\nt"/' "$E/bridge.stream" | loom-stream >net.entity
	entity-dump net.entity >out
	grep -q 'source=s?t$' out
	[ "$(wc -l <out)" = "$(entity-dump "$E/bridge.entity" | wc -l)" ]
}

@test "dump: --json is one object by its schema" {
	"$PYTHON" -c 'import jsonschema' 2>/dev/null || skip "jsonschema is not installed"
	loom-export -f safetensors -o net.safetensors "$E/bridge.entity"
	for file in "$E"/{bridge.entity,cells.entity,spec-example-{a,c}/model.entity,dense-float32/{model.entity,input.npy}} \
		net.safetensors; do
		entity-dump --json "$file" >out.json
		"$PYTHON" - "$TOP/schemas/entity-dump.json" <<-'END'
			import json, sys, jsonschema
			schema = json.load(open(sys.argv[1]))
			jsonschema.Draft202012Validator.check_schema(schema)
			jsonschema.validate(json.load(open("out.json")), schema)
		END
	done
}

@test "dump: --json of a small file, whole" {
	run -0 entity-dump --json "$E/spec-example-c/model.entity"
	[ "$output" = '{"format":"entity","holds":"network","loom":"plain Loom","differences":[],"inputs":[{"name":"x","dtype":"float32","shape":[],"any":true}],"nodes":[],"outputs":["x"],"findings":[],"sound":true}' ]
}

# ---- check ----

@test "check: what Loom wrote is sound and plain" {
	for file in "$E"/*-*/model.entity; do
		case $file in */reference-* | */spec-example-b/* | */parallel-filter-* | */text-escapes-* | */convtransposed*-int*) continue ;; esac
		run -0 entity-dump --check "$file"
		[ "$output" = "format entity, plain Loom
sound" ]
	done
}

@test "check: what plain Loom would get wrong" {
	run -0 entity-dump --check "$E/bridge.entity"
	[ "$output" = "format entity, Loom + bridge
plain Loom: node net.0 (layers.0) loses its bias
plain Loom: node g (gelu) is left out
plain Loom: node half (layers.1) loses its bias
plain Loom: node tied (dense) is left out
plain Loom: node c (constant) is left out
plain Loom: node y (add) is left out
plain Loom: layers run one after another, not as the nodes are connected
sound" ]
}

@test "read: blobs and layers in any order, names as Loom reads them" {
	base=$E/reference-stream-dense/model.entity
	entity-dump "$base" >expected
	edit "$base" 's/,\({"path":"layers.1[^}]*}\),\({[^}]*}\),\({[^}]*}\)/,\3,\2,\1/;s/"layers":\[\({[^}]*}\),\({[^}]*}\)/"layers":[\2,\1/' >edited.entity
	[ "$(head -c 300 edited.entity | grep -ao '"l":.' | head -n 1)" = '"l":1' ]
	entity-dump edited.entity >out
	same out expected
	edit "$base" 's/"Dense"/"DENSE"/;s/"Tanh"/"tanh"/;s/"dtype":"float32","in/"dtype":"FP32","in/g' >edited.entity
	entity-dump edited.entity >out
	same out expected
	edit "$E/activation-leakyrelu-float32/model.entity" 's/"LeakyReLU"/"LEAKY_RELU"/' >edited.entity
	run -0 entity-dump edited.entity
	[ "${lines[4]}" = "node layers.0.leaky_relu leaky_relu cell=0 in=layers.0 out=layers.0.leaky_relu negative_slope=0.01" ]
}

@test "read: a layer that is disabled is passed over" {
	entity-dump "$E/disabled-float32/model.entity" | grep -o '^node [^ ]*' >out
	printf 'node layers.%d\n' 0 2 | diff - out
}

@test "interop: an unmodified Loom loads our checkpoint and computes its layers" {
	run python3 "$TOP/test/interop/welvet.py" "$E/bridge.entity"
	[ "$status" != 77 ] || skip "$output"
	[ "$status" = 0 ]
}

@test "check: stray bytes, unknown blobs, a dtype that its blob does not have" {
	base=$E/reference-stream-dense/model.entity
	found 's/"length":48/"length":48/;s/"offset":72,"length":12/"offset":76,"length":12/;s/"offset":84,"length":8/"offset":88,"length":4/;s/"output_height":2/"output_height":1/' \
		"finding: blob bridge.dense.0.biases: bytes before it that belong to none: 4" \
		"finding: blob layers.1: float32 [1, 3] takes 12 bytes, found 24" "not sound: 2 findings"
	found 's/"dtype":"float32","in/"dtype":"float16","in/' \
		"finding: layers.0 says dtype float16, its blob float32: the blob's counts" "not sound: 1 finding"
	found 's/bridge.dense.1.biases/elsewhere.1/' \
		"finding: blob elsewhere.1 is of no known kind and is not used" "not sound: 1 finding"
	cat "$base" - >longer.entity <<<"1234"
	run -1 entity-dump --check longer.entity
	[ "${lines[3]}" = "finding: bytes after the last blob that belong to none: 5" ]
}

@test "check: bits after the last value of a packed blob" {
	base=$E/dense-int4/model.entity
	edit "$base" 's/x/x/' | head -c -1 >edited.entity
	printf '\x31' >>edited.entity
	run -1 entity-dump --check edited.entity
	[ "${lines[1]}" = "finding: blob layers.0: bits after the last value are set" ]
}

@test "check: NaN and infinities in weights" {
	base=$E/dense-float32/model.entity
	{ head -c -8 "$base"; printf '\0\0\xc0\xff\0\0\x80\xff'; } >edited.entity
	run -1 entity-dump --check edited.entity
	[ "${lines[1]}" = "finding: layers.0.weight holds 1 NaN and 1 infinite values of 35" ]
	[ "${lines[2]}" = "not sound: 1 finding" ]
}

# ---- what is refused ----

@test "refused: a fixed header that is none" {
	cp "$E/dense-float32/model.entity" ok
	{ head -c 8 ok; printf '\2\0'; tail -c +11 ok; } >x.entity
	run -3 --separate-stderr entity-dump x.entity
	[ "$stderr" = "entity-dump: x.entity: checkpoint version 2, supported is 1" ]
	{ head -c 10 ok; printf '\1\0'; tail -c +13 ok; } >x.entity
	run -3 --separate-stderr entity-dump x.entity
	[ "$stderr" = "entity-dump: x.entity: checkpoint flags 0x0001, supported is 0" ]
	{ head -c 12 ok; printf '\1\0\0\x10\0\0\0\0'; tail -c +21 ok; } >x.entity
	run -3 --separate-stderr entity-dump x.entity
	[ "$stderr" = "entity-dump: x.entity: a header of 268435457 bytes, more than 268435456" ]
	{ head -c 12 ok; printf '\0\0\0\x10\0\0\0\0'; tail -c +21 ok; } >x.entity
	run -3 --separate-stderr entity-dump x.entity
	[ "$stderr" = "entity-dump: x.entity: byte 20: ends 268434974 bytes early" ]
	run -3 --separate-stderr entity-dump <<<"ENTITX"
	[ "$stderr" = "entity-dump: <stdin>: byte 0: neither a checkpoint nor a file of tensors that we read" ]
	run -3 --separate-stderr entity-dump <<<"ENTITY"
	[ "$stderr" = "entity-dump: <stdin>: byte 0: neither a checkpoint nor a file of tensors that we read" ]
	run -3 --separate-stderr entity-dump <(printf ENTITY)
	[[ $stderr = "entity-dump: /dev/fd/"*": byte 6: ends 14 bytes early" ]]
	run -3 --separate-stderr entity-dump </dev/null
	[ "$stderr" = "entity-dump: <stdin>: byte 0: is empty: did the program that writes it fail?" ]
}

@test "refused: header JSON (D6, U7, U24)" {
	base=$E/reference-stream-dense/model.entity
	refused 's/"network":{/"network":[],"n":{/' \
		'header: "network" is an array, not an object'
	refused 's/"format_version":1/"format_version":2/' \
		'header: "format_version" is 2, not 1'
	refused 's/"format_version":1,//' \
		'header: "format_version" is missing'
	refused 's/"blobs"/"BLOBS"/' \
		'header: the key "BLOBS" must be written "blobs"'
	refused 's/"depth":1/"depth":1,"depth":1/' \
		'byte 76: JSON: the key "depth" stands twice'
	refused 's/"scale":1/"scale":1e400/' \
		'byte 485: JSON: a number too large for binary64'
	refused 's/"scale":1/"scale":NaN/' \
		'byte 485: JSON: expected a value, found '\''N'\'''
	refused 's/^.*$/null/' \
		'the header is null, not an object'
	refused 's/^.*$/{"format_version":1}/' \
		'header: "network" is missing'
	refused 's/$/x/' \
		'byte 768: JSON: expected the end, found '\''x'\'''
	refused 's/"network":{/"network":{"\\u0000":1,/' \
		'byte 52: JSON: \u0000 in a string'
}

@test "refused: grids and places (U19, U20, U21)" {
	base=$E/reference-stream-dense/model.entity
	refused 's/"rows":1/"rows":1.0/' \
		'network: "rows" is a real number, not an integer'
	refused 's/"rows":1/"rows":9223372036854775808/' \
		'network: "rows" is 9.2233720368547758e+18, which is no 64-bit integer'
	refused 's/"rows":1/"rows":-1/' \
		'network: "rows" is -1, not 0..1048576'
	refused 's/"rows":1/"rows":1048577/' \
		'network: "rows" is 1048577, not 0..1048576'
	refused 's/"rows":1,"cols":1/"rows":1048576,"cols":2/' \
		'network: a grid of more than 1048576 layers'
	refused 's/"rows":1/"rows":0/' \
		'network: 2 entries in "layers" for a grid of 0'
	refused 's/"rows":1/"rows":2/' \
		'network: 2 entries in "layers" for a grid of 4'
	refused 's/"l":1,/"l":0,/' \
		'layers[1]: another entry has its place in the grid'
	refused 's/"l":1,/"l":2,/' \
		'layers[1]: "l" is 2, not 0..1'
	refused 's/"x":0,/"x":1,/' \
		'layers[0]: "x" is 1, not 0'
	refused 's/"layers_per_cell":2/"layers_per_cell":3/' \
		'network: 2 entries in "layers" for a grid of 3'
	refused 's/"layers_per_cell":2/"layers_per_cell":1/' \
		'network: 2 entries in "layers" for a grid of 1'
}

@test "refused: layer specs (U8, U9, U22, U23)" {
	base=$E/reference-stream-dense/model.entity
	refused 's/"Dense"/"Densest"/' \
		'layers.0: unknown layer type "Densest"'
	refused 's/"Dense"/"META"/' \
		'layers.0 is a Metacognition, which cannot be run yet (supported: Dense, MultiHeadAttention, SwiGLU, RMSNorm, LayerNorm, CNN1, CNN2, CNN3, ConvTransposed1D, ConvTransposed2D, ConvTransposed3D, RNN, LSTM, Embedding, Residual, Sequential, Parallel)'
	for type in KMeans Softmax Metacognition; do
		refused "s/\"Dense\"/\"$type\"/" \
			"layers.0 is a $type, which cannot be run yet (supported: Dense, MultiHeadAttention, SwiGLU, RMSNorm, LayerNorm, CNN1, CNN2, CNN3, ConvTransposed1D, ConvTransposed2D, ConvTransposed3D, RNN, LSTM, Embedding, Residual, Sequential, Parallel)"
	done
	refused 's/"Tanh"/"Tan"/' \
		'layers.0: unknown activation "Tan"'
	refused 's/"Standard"/"standard"/' \
		'layers.0: unknown softmax type "standard"'
	refused 's/"dtype":"float32","in/"dtype":"float33","in/' \
		'layers.0: unknown dtype "float33"'
	refused 's/"dtype":"float32","in/"dtype":"bool","in/' \
		'layers.0: unknown dtype "bool"'
	refused 's/"input_height":4/"input_height":"4"/' \
		'layers[0]: "input_height" is a string, not an integer'
	refused 's/"input_height":4/"input_height":0/' \
		'layers.0: "input_height" is 0, not 1..16777216'
	refused 's/"output_height":3/"output_height":2/' \
		'layer layers.1 (dense): input 0: expected a last axis of 3, found float32 [2, 2]'
	refused 's/"softmax_type":"Standard"}/"softmax_type":"Standard","weights":"AA=="}/' \
		'layers[0]: "weights" belongs into model.json, not into a checkpoint'\''s header'
	refused 's/"softmax_type":"Standard"}/"softmax_type":"Standard","parallel_branches":[{}]}/' \
		'layers.0: a Dense with "parallel_branches"'
	refused 's/"softmax_type":"Standard"}/"softmax_type":"Standard","Stride":1}/' \
		'layers[0]: the key "Stride" must be written "stride"'
	refused 's/"softmax_type":"Standard"}/"softmax_type":"Standard","stride":1e3}/' \
		'layers[0]: "stride" is a real number, not an integer'
	refused 's/"format_version":1/"format_version":1,"transformer":{}/' \
		'a transformer section, which cannot be run yet'
}

@test "refused: the index of blobs (U1, U2, U4, U5, U10, U26)" {
	base=$E/reference-stream-dense/model.entity
	refused 's/"layers.0","offset":0/"layers.00","offset":0/' \
		'blob layers.00: no such layer (layers are numbered 0..1, without sign or leading zeros)'
	refused 's/"layers.0","offset":0/"layers.2","offset":0/' \
		'blob layers.2: no such layer (layers are numbered 0..1, without sign or leading zeros)'
	refused 's/"layers.0","offset":0/"layers.-0","offset":0/' \
		'blob layers.-0: no such layer (layers are numbered 0..1, without sign or leading zeros)'
	refused 's/"layers.0","offset":0/"layers.x","offset":0/' \
		'blob layers.x: no such layer (layers are numbered 0..1, without sign or leading zeros)'
	refused 's/"layers.0","offset":0/"layers.0.gain","offset":0/' \
		'blob layers.0.gain: a Dense has no "gain"'
	refused 's/"layers.0","offset":0/"layers.0.q4_0.200","offset":0/' \
		'blob layers.0.q4_0.200: a Dense has no "q4_0.200"'
	refused 's/"layers.0","offset":0/"layers.1","offset":0/' \
		'blob layers.1 stands twice in the index'
	refused 's/"layers.0","offset":0/"other.0","offset":0/' \
		'layers.0 (Dense) has no weights: there is no blob layers.0'
	refused 's/"layers.0","offset":0/"transformer.final_norm","offset":0/' \
		'blob transformer.final_norm: there is no transformer section'
	refused 's/"layers.0","offset":0,/"layers.0","offset":18446744073709551600,/' \
		'blob layers.0: "offset" is 1.8446744073709552e+19, which is no 64-bit integer'
	refused 's/"layers.0","offset":0,/"layers.0","offset":9223372036854775807,/' \
		'blob layers.0: bytes 9223372036854775807 to 9223372036854775855 of a payload that has 92'
	refused 's/"layers.0","offset":0,/"layers.0","offset":-1,/' \
		'blob layers.0: "offset" is -1, not 0..9223372036854775807'
	refused 's/"layers.0","offset":0,/"layers.0","offset":93,/' \
		'blob layers.0: bytes 93 to 141 of a payload that has 92'
	refused 's/"layers.0","offset":0,/"layers.0","offset":4,/' \
		'blob layers.1 overlaps blob layers.0'
	refused 's/"length":48/"length":47/' \
		'blob layers.0: "length" is 47, not a multiple of the 4 bytes of a float32'
	refused 's/{"path":"layers.1".*"native":true},//' \
		'layers.1 (Dense) has no weights: there is no blob layers.1'
}

@test "refused: dtypes, sizes, scales (U8, U11, U12, U13, U15)" {
	base=$E/reference-stream-dense/model.entity
	refused 's/"input_height":4/"input_height":5/' \
		'blob layers.0: float32 [3, 5] takes 60 bytes, found 48'
	refused 's/"length":48/"length":44/' \
		'blob layers.0: float32 [3, 4] takes 48 bytes, found 44'
	refused 's/"length":48,"dtype":"float32"/"length":48,"dtype":"float31"/' \
		'blob layers.0: unknown dtype "float31"'
	refused 's/"length":48,"dtype":"float32"/"length":48,"dtype":"Q4_0"/' \
		'blob layers.0: dtype Q4_0 does not go with this path'
	refused 's/"length":48,"dtype":"float32"/"length":48,"dtype":"float64"/' \
		'blob layers.0: float64 [3, 4] takes 96 bytes, found 48'
	refused 's/"dtype":"float32","scale":1,"native":true/"dtype":"int8","scale":0.5,"native":false/' \
		'blob layers.0: "native" is false with dtype int8: float32 values that Loom would quantise as it loads them'
	refused 's/"dtype":"float32","scale":1,"native":true/"dtype":"int8","native":true/' \
		'blob layers.0: "scale" is 0; int8 needs one greater than 0'
	refused 's/"dtype":"float32","scale":1,"native":true/"dtype":"int8","scale":-0.5,"native":true/' \
		'blob layers.0: "scale" is -0.5; int8 needs one greater than 0'
	refused 's/"scale":1/"scale":1e39/' \
		'blob layers.0: "scale" is 9.9999999999999994e+38, too large for float32'
}

@test "refused: biases that belong nowhere" {
	base=$E/reference-stream-dense/model.entity
	refused 's/bridge.dense.0.biases/bridge.dense.1.biases/' \
		'blob bridge.dense.1.biases stands twice in the index'
	refused 's/bridge.dense.0.biases/bridge.dense.2.biases/' \
		'blob bridge.dense.2.biases: no such layer (layers are numbered 0..1, without sign or leading zeros)'
	refused 's/bridge.dense.0.biases/bridge.dense.01.biases/' \
		'blob bridge.dense.01.biases: nothing under "bridge." is called so'
	refused 's/bridge.dense.0.biases/bridge.cnn1.0.biases/' \
		'blob bridge.cnn1.0.biases: layers.0 is a Dense, which has no blob but bridge.dense.0.biases'
	refused 's/bridge.dense.0.biases/bridge.what/' \
		'blob bridge.what: nothing under "bridge." is called so'
	refused 's/bridge.dense.0.biases/bridge.nodes.a.b/' \
		'blob bridge.nodes.a.b: there is no "bridge" in the header that names its node'
	refused 's/"length":12,"dtype":"float32"/"length":12,"dtype":"int32"/' \
		'blob bridge.dense.0.biases: dtype int32, not float32'
	refused 's/"length":12,"dtype":"float32"/"length":8,"dtype":"float32"/' \
		'blob bridge.dense.0.biases: float32 [3] takes 12 bytes, found 8'
}

@test "refused: bridge sections" {
	base=$E/bridge.entity
	refused 's/"version":1,"inputs"/"version":2,"inputs"/' \
		'bridge: version 2, supported is 1'
	refused 's/"version":1,"inputs"/"inputs"/' \
		'bridge: "version" is missing'
	refused 's/"outputs":\["y","act"\]/"outputs":["y","act"],"extra":1/' \
		'bridge: unknown key "extra" (known: version, inputs, nodes, outputs, info)'
	refused 's/"outputs":\["y","act"\]/"outputs":[]/' \
		'"outputs" is empty: nothing would come out'
	refused 's/"outputs":\["y","act"\]/"outputs":["y","nope"]/' \
		'output nope: no node makes it'
	refused 's/"op":"gelu"/"op":"geluish"/' \
		'node g: unknown operation "geluish" (`loom-list layers` has those that are known)'
	refused 's/"op":"gelu",/"op":"gelu","shape":1,/' \
		'node g: unknown key "shape" (known: name, op, cell, in, out, params, tensors)'
	refused 's/{"approximate":"none"}/{}/' \
		'node g: "approximate" is missing'
	refused 's/{"approximate":"none"}/{"approximate":"erf"}/' \
		'node g: "approximate" is "erf", not one of "none", "tanh"'
	refused 's/{"approximate":"none"}/{"approximate":"none","slope":1}/' \
		'node g: unknown key "slope" (known: approximate)'
	refused 's/{"approximate":"none"}/{"approximate":1}/' \
		'node g: "approximate" is an integer, not a string'
	refused 's/"in":\["act"\]/"in":["late"]/' \
		'node g (gelu): its input late is no input of the network and no output of an earlier node'
	refused 's/"in":\["act"\]/"in":[1]/' \
		'node g: "in" holds an integer, not a string'
	refused 's/"in":\["act"\]/"in":[null]/' \
		'node g (gelu): input 0 may not be null'
	refused 's/"name":"g"/"name":"act"/' \
		'two nodes are called act'
	refused 's/"name":"g"/"name":""/' \
		'node has an empty name'
	refused 's/"name":"g"/"name":"a\\nb"/' \
		'node a?b: a control byte in its name'
	refused 's/"cell":"1"/"cell":"2"/' \
		'node half: "cell" is no layer of the network'
	refused 's/"cell":"1"/"cell":"0"/' \
		'node half: layers.0 is node net.0 already'
	refused 's/"cell":"1",//' \
		'node half (dense): there is no blob for its weight'
	refused 's/"op":"relu","cell":"0"/"op":"tanh","cell":"0"/' \
		'node act (tanh): layers.0 is a Dense with the activation ReLU'
	refused 's/"op":"relu","cell":"0",/"op":"relu",/' \
		'bridge: no node is the activation of layers.0'
	refused 's/"cell":"0","in":\["net.0"\]/"cell":"0","in":["x"]/' \
		'node act: as the activation of layers.0 it must take that node'\''s output, and be the only one'
	refused 's/"in_features":3/"in_features":4/' \
		'node net.0: in_features is 4, but input_height of layers.0 is 3'
	refused 's/"in_features":3/"in_features":0/' \
		'node net.0 (dense): in_features is 0, expected 1 to 16777216'
	refused 's/"in_features":3,//' \
		'node net.0: "in_features" is missing'
	refused 's/"dtype":"float32","shape":\["batch",3\]/"dtype":"float16","shape":["batch",3]/' \
		'input x: dtype float16, not float32, int64 or bool'
	refused 's/"shape":\["batch",3\]/"shape":["batch+",3]/' \
		'dimension "batch+" is not an integer, a name or an expression of them with + - * //'
	refused 's/"shape":\["batch",3\]/"shape":["batch",-3]/' \
		'input x: "shape" holds -3, not an extent'
	refused 's/"shape":\["batch",3\]/"shape":["batch",4]/' \
		'layer net.0 (dense): input 0: expected a last axis of 3, found float32 [2, 4]'
	refused 's/"same":"half.weight"/"same":"half.gain"/' \
		'node tied: tensor weight: "same" is "half.gain", which is no tensor of a node before it'
	refused 's/"same":"half.weight"/"same":"net.0.weight"/' \
		'node tied: tensor weight: expected float32 [2, 2], found float32 [2, 3] in net.0.weight'
	refused 's/"same":"half.weight"/"sane":"half.weight"/' \
		'node tied: tensor weight: "same" is missing'
	refused 's/bridge.nodes.c.value/bridge.nodes.d.value/' \
		'node c (constant): there is no blob for its value'
	refused 's/"bias":true/"bias":false/' \
		'blob bridge.dense.0.biases belongs to no node'
	refused 's/"bridge":/"brigde":/' \
		'blob bridge.nodes.half.bias: there is no "bridge" in the header that names its node'
}

@test "refused: files that cannot be run yet, by name" {
	refusal() {
		run -3 --separate-stderr entity-dump "$E/$1/model.entity"
		[ "$stderr" = "entity-dump: $E/$1/model.entity: $2" ]
	}
	refusal builder 'layers.3: "input_height" is missing'
	refusal spec-example-b 'a transformer section, which cannot be run yet'
	refusal parallel-filter-float32 \
		'layers.0 (Parallel): "combine_mode" is "filter", which cannot be run (supported: concat, grid_scatter, add, avg)'
	refusal text-escapes-float32 \
		'layers.0 (Parallel): "combine_mode" is "a<&>"\??é'$'\xe2\x80\xa8''z", which cannot be run (supported: concat, grid_scatter, add, avg)'
}

@test "refused: JSON that is nested too deep" {
	with_header "$(printf '[%.0s' {1..65})" >x.entity
	run -3 --separate-stderr entity-dump x.entity
	[ "$stderr" = "entity-dump: x.entity: byte 84: JSON: nested deeper than 64" ]
}

@test "refused: every prefix, mapped" {
	refuses_every_prefix "$E/spec-example-a/model.entity" entity-dump {}
}

@test "refused: every prefix, from a pipe" {
	through_pipe() { cat | entity-dump; }
	refuses_every_prefix "$E/spec-example-c/model.entity" through_pipe
}

# ---- the checkpoint as loom-stream writes it ----

@test "write: a stream becomes the checkpoint of the same network" {
	for name in bridge cells; do
		loom-stream <"$E/$name.stream" >out.entity
		same out.entity "$E/$name.entity"
	done
}

# slice OFFSET SIZE: of the payload of the reference's file.
slice() { tail -c 92 "$E/reference-stream-dense/model.entity" | tail -c +$(($1 + 1)) | head -c "$2"; }

@test "write: a plain stream becomes what the reference wrote" {
	{
		echo '{"loom_stream":2,"planet":"pytorch","mode":"eval","nodes":3,"bytes":92,"inputs":[{"name":"x","dtype":"float32","shape":["n",4]}],"outputs":["b"]}'
		echo '{"name":"a","op":"dense","params":{"in_features":4,"out_features":3,"bias":true},"tensors":[{"slot":"weight","dtype":"float32","shape":[3,4],"axes":["o","i"]},{"slot":"bias","dtype":"float32","shape":[3],"axes":["o"]}]}'
		echo '{"name":"t","op":"tanh","params":{},"tensors":[]}'
		echo '{"name":"b","op":"dense","params":{"in_features":3,"out_features":2,"bias":true},"tensors":[{"slot":"weight","dtype":"float32","shape":[2,3],"axes":["o","i"]},{"slot":"bias","dtype":"float32","shape":[2],"axes":["o"]}]}'
		slice 0 48 && slice 72 12 && slice 48 24 && slice 84 8
		echo '{"end":true,"bytes":92}'
	} >net.stream
	loom-stream --plain <net.stream >out.entity
	same out.entity "$E/reference-stream-dense/model.entity"
	loom-stream <net.stream | entity-dump | grep '^input\|^node\|^output' >out
	diff - out <<-'END'
		input x float32 [n, 4]
		node a dense cell=0 in=x out=a in_features=4 out_features=3 bias=true
		node t tanh cell=0 in=a out=t
		node b dense cell=1 in=t out=b in_features=3 out_features=2 bias=true
		output b
	END
}

@test "write: a constant without values" {
	{
		echo '{"loom_stream":2,"planet":"pytorch","mode":"eval","nodes":2,"bytes":0,"inputs":[{"name":"x","dtype":"float32","shape":[2]}],"outputs":["y"]}'
		echo '{"name":"c","op":"constant","params":{"shape":[0]},"tensors":[{"slot":"value","dtype":"int64","shape":[0]}]}'
		echo '{"name":"y","op":"relu","in":["x"],"params":{},"tensors":[]}'
		echo '{"end":true,"bytes":0}'
	} | loom-stream >out.entity
	run -0 entity-dump out.entity
	[ "${lines[4]}" = "weight c.value int64 [0] scale=1 sha256=$(sha256sum </dev/null | cut -c 1-16)" ]
}

@test "dump: --header is the whole without what takes reading the values" {
	entity-dump "$E/bridge.entity" | sed -E '/^weight/ s/ (min|max|mean|sha256)=[^ ]*//g' >want
	entity-dump --header "$E/bridge.entity" >got
	diff want got
	entity-dump --header --json "$E/bridge.entity" >got.json
	"$PYTHON" - "$BATS_TEST_DIRNAME/../../schemas/entity-dump.json" got.json <<-'END'
		import json, sys
		import jsonschema
		schema, got = (json.load(open(name)) for name in sys.argv[1:])
		jsonschema.validate(got, schema)
		assert got["sound"] and "sha256" not in json.dumps(got)
	END
	"$PYTHON" -c 'import numpy; numpy.save("x.npy", numpy.array([1, numpy.nan], "f4"))'
	run -0 entity-dump -H x.npy
	[ "${lines[1]}" = "tensor array float32 [2]" ]
	[ "${#lines[@]}" = 2 ]
	run -2 --separate-stderr entity-dump --check --header x.npy
	[ "${stderr_lines[0]}" = "entity-dump: --check reads the values: not with --header" ]
}

# ---- manners ----

@test "dump: bad options, too many files, a missing file, a full disk" {
	run -2 --separate-stderr entity-dump --nope
	[ "${stderr_lines[0]}" = "entity-dump: --nope: no such option, or more than one starts so" ]
	run -2 --separate-stderr entity-dump a b
	[ "${stderr_lines[0]}" = "usage: entity-dump [--check | --header] [--json] [FILE]" ]
	run -4 --separate-stderr entity-dump missing.entity
	[ "$stderr" = "entity-dump: missing.entity: cannot open it: No such file or directory" ]
	full_disk entity-dump "$E/bridge.entity"
}

@test "dump: the manual's examples run" {
	cp "$E/bridge.entity" net.entity
	cp "$E/bridge.entity" old.entity
	bash -eo pipefail -c 'entity-dump net.entity | grep "^weight"' >out
	[ "$(wc -l <out)" = 6 ]
	bash -c 'diff <(entity-dump old.entity) <(entity-dump net.entity)'
	bash -c 'entity-dump --check net.entity && echo sound' >out
	[ "$(tail -n 1 out)" = sound ]
}
