load helper
load edits

E=$FIXTURES/entity

@test "check: what plain Loom would get wrong about a layer of each type" {
	run -0 entity-dump --check "$E/cells.entity"
	[ "$output" = "format entity, Loom + bridge
plain Loom: input ids is int64, where Loom takes float32
plain Loom: node c (layers.0) loses its bias
plain Loom: node c (layers.0): Loom computes with stride [1,1], not [1,2]
plain Loom: node c (layers.0): Loom computes with pad_low [1,1], not [1,0]
plain Loom: node g (conv1) is left out
plain Loom: node n (layers.1): Loom computes with eps 0.00001, not 0.001
plain Loom: node n (layers.1): Loom takes a row for each index of the first axis, and there are more or fewer
plain Loom: node r (layers.2) loses its b2
plain Loom: node e (layers.4): Loom computes with outside zero, not error
plain Loom: node e (layers.4): Loom computes with wrap false, not true
plain Loom: node m (layers.5): Loom computes with causal true, not false
plain Loom: node m (layers.5): Loom computes with rope half, not interleaved
plain Loom: node m (layers.5): Loom lets each sequence of a batch see those before it
plain Loom: node s (layers.6) loses its skip
plain Loom: node w (layers.7): Loom computes with activation silu, not relu2
plain Loom: layers run one after another, not as the nodes are connected
sound" ]
}

@test "check: a file of Loom's own that Loom answers wrongly" {
	# What comes out of the convolution has 2 x 6 values for each sample; the layer after it reads 6.
	edit "$E/chain-float32/model.entity" 's/"input_height":12,"output_height":6/"input_height":6,"output_height":6/' >edited.entity
	run -1 entity-dump --check edited.entity
	[ "$output" = "format entity, plain Loom
plain Loom: node layers.1 (layers.1): Loom takes a row for each index of the first axis, and there are more or fewer
plain Loom: node layers.2 (layers.2): Loom takes a row for each index of the first axis, and there are more or fewer
plain Loom: node layers.3 (layers.3): Loom takes a row for each index of the first axis, and there are more or fewer
finding: blob layers.1: float32 [6, 6] takes 144 bytes, found 288
not sound: 1 finding" ]
}

# differs SED LINE...: the stream of all layers, edited so, makes a checkpoint that Loom gets wrong in
# these ways too.
differs() {
	sed "$1" "$E/cells.stream" >edited.stream
	cmp -s edited.stream "$E/cells.stream" && echo "no change: $1" && return 1
	shift
	loom-stream <edited.stream >edited.entity
	entity-dump --check "$E/cells.entity" >before
	entity-dump --check edited.entity >after
	printf "${1+plain Loom: %s\\n}" "$@" | diff - <(diff before after | sed -n 's/^> //p')
}

@test "check: what plain Loom would get wrong, one thing after another" {
	differs '2s/"dilation":\[1,1\]/"dilation":[2,1]/;2s/"pad_high":\[0,1\]/"pad_high":[1,1]/' \
		'node c (layers.0): Loom computes with dilation [1,1], not [2,1]'
	differs '10s/"rope":"interleaved","rope_base":500.0/"rope":"none","rope_base":null/' \
		'node m (layers.5): Loom computes with rope half, not none'
	differs '10s/"scale":null/"scale":0.5/;10s/"causal":false/"causal":true/' \
		'node m (layers.5): Loom computes with scale null, not 0.5'
	# Without a mask nothing is hidden.
	differs '10s/"fill":"-inf"/"fill":"-1e9"/;10s/"empty":"zero"/"empty":"nan"/'
	differs '7s/"activation":"tanh"/"activation":"relu"/' \
		'node r (layers.2): Loom computes with activation tanh, not relu'
	differs '7s/"order":"time"/"order":"reversed"/;7s/"direction":"forward"/"direction":"backward"/' \
		'node r (layers.2): Loom computes with direction forward, not backward' \
		'node r (layers.2): Loom computes with order time, not reversed'
	differs '13s/"eps":1e-06/"eps":1e-05/' \
		'node q (layers.8): Loom computes with eps 0.000001, not 0.00001'
	differs '3s/"op":"relu","in":\["c"\],"params":{}/"op":"gelu","in":["c"],"params":{"approximate":"none"}/' \
		'node act (gelu) is left out'
}

@test "refused: specs of convolutions" {
	base=$E/cnn2-float32/model.entity
	refused 's/"input_height":5,//' 'layers.0: "input_height" is missing'
	refused 's/"output_width":4,//' 'layers.0: "output_width" is missing'
	refused 's/"output_width":4/"output_width":-4/' 'layers.0: "output_width" is -4, not 1..16777216'
	refused 's/"output_width":4/"output_width":16777216/' \
		'layers.0: "output_width" is 16777216, too many for an extent of 7'
	refused 's/"filters":3,//' 'layers.0: "filters" is missing'
	refused 's/"filters":3/"filters":4/' 'blob layers.0: float32 [4, 2, 3, 3] takes 288 bytes, found 216'
	refused 's/"kernel_size":3/"kernel_size":0/' 'layers.0: "kernel_size" is 0, not 1..1048576'
	refused 's/"stride":2,//' 'layers.0: "stride" is missing'
	refused 's/"padding":1/"padding":-1/' 'layers.0: "padding" is -1, not 0..1048576'
	found 's/"kernel_size":3/"kernel_size":2/' \
		'finding: blob layers.0: float32 [3, 2, 2, 2] takes 96 bytes, found 216' 'not sound: 1 finding'
	base=$E/cnn1-float32/model.entity
	refused 's/"layers.0","offset"/"bridge.cnn1.0.biases","offset"/' \
		'blob bridge.cnn1.0.biases: layers.0 is a CNN1, which has no blob but its weights'
}

@test "refused: specs of transposed convolutions" {
	base=$E/convtransposed1d-float32/model.entity
	refused 's/"input_width":5,//' 'layers.0: "input_width" is missing'
	refused 's/"output_width":9/"output_width":16777216/' \
		'layers.0: "output_width" is 16777216, too many for an extent of 5'
	refused 's/"input_width":5/"input_width":16777216/' \
		'layers.0: "output_width" is 9, too few for an extent of 16777216'
	refused 's/"padding":1/"padding":-1048577/' 'layers.0: "padding" is -1048577, not -1048576..1048576'
	refused 's/"filters":3/"filters":4/' 'blob layers.0: float32 [4, 2, 3] takes 96 bytes, found 72'
	refused 's/"stride":2,//' 'layers.0: "stride" is missing'
}

@test "check: what plain Loom would get wrong about transposed convolutions" {
	L=$FIXTURES/layers/convtranspose2
	loom-stream <"$L/uneven/net.stream" >net.entity
	run -0 entity-dump --check net.entity
	[ "$output" = "format entity, Loom + bridge
plain Loom: node y (convtranspose2) is left out
sound" ]
	loom-stream <"$FIXTURES/layers/convtranspose1/dilation-of-stride/net.stream" >net.entity
	run -0 entity-dump --check net.entity
	[ "$output" = "format entity, Loom + bridge
plain Loom: node y (layers.0) loses its bias
plain Loom: node y (layers.0): Loom computes with dilation [1], not [6]
sound" ]
	loom-stream <"$L/float16/net.stream" >net.entity
	run -0 entity-dump --check net.entity
	[ "$output" = "format entity, Loom + bridge
plain Loom: node y (layers.0) loses its bias
plain Loom: node y (layers.0): Loom makes zeros where its weights are float16
sound" ]
}

@test "check: a gru, and sequences of several lengths, are none of Loom's layers" {
	for case in gru/after-one-bias rnn/lengths-only lstm/lengths; do
		loom-stream <"$FIXTURES/layers/$case/net.stream" >net.entity
		run -0 entity-dump --check net.entity
		[[ "$output" = *"
plain Loom: node r (${case%/*}) is left out
"* ]]
	done
}

@test "refused: specs of attention" {
	base=$E/mha-float32/model.entity
	refused 's/"num_heads":4,//' 'layers.0: "num_heads" is missing'
	refused 's/"num_heads":4/"num_heads":0/' 'layers.0: "num_heads" is 0, not 1..16777216'
	refused 's/"num_kv_heads":2/"num_kv_heads":3/' \
		'node layers.0 (attention): num_heads is 4, expected a multiple of num_kv_heads 3'
	refused 's/"num_kv_heads":2/"num_kv_heads":-1/' 'layers.0: "num_kv_heads" is -1, not 0..16777216'
	refused 's/"num_kv_heads":2,//' 'blob layers.0: float32 of 1042 values takes 4168 bytes, found 3112'
	refused 's/"head_dim":6/"head_dim":5/' \
		'layers.0: "query_dim" is 24, expected num_heads * head_dim = 20'
	refused 's/"head_dim":6,//' 'layers.0: "query_dim" is 24, expected num_heads * head_dim = 8'
	refused 's/"query_dim":24,//' 'layers.0: "query_dim" is 10, expected num_heads * head_dim = 24'
	refused 's/"d_model":10,//' 'layers.0: "d_model" is missing'
	refused 's/"d_model":10/"d_model":11/' 'blob layers.0: float32 of 851 values takes 3404 bytes, found 3112'
	refused 's/"length":3112/"length":3108/' 'blob layers.0: float32 of 778 values takes 3112 bytes, found 3108'
	refused 's/"seq_length":5/"seq_length":"5"/' 'layers[0]: "seq_length" is a string, not an integer'
}

@test "read: attention as Loom fills in what its spec leaves out" {
	entity-dump "$E/mha-float32/model.entity" | grep '^node' >expected
	grep -q ' rope=half rope_base=10000 ' expected
	edit "$E/mha-float32/model.entity" 's/"seq_length":5/"seq_length":-5,"rope_freq_base":-3/' >edited.entity
	entity-dump edited.entity | grep '^node' | diff expected -
	entity-dump "$E/mha-multihead-float32/model.entity" | grep '^node' >expected
	grep -q ' rope=half rope_base=500000 ' expected
	edit "$E/mha-multihead-float32/model.entity" \
		's/"num_kv_heads":2,"head_dim":4,"query_dim":8,//' >edited.entity
	entity-dump edited.entity | grep '^node' | diff expected -
}

@test "refused: specs of other layers" {
	base=$E/lstm-float32/model.entity
	refused 's/"input_height":5,//' 'layers.0: "input_height" is missing'
	refused 's/"output_height":4/"output_height":-4/' 'layers.0: "output_height" is -4, not 1..16777216'
	refused 's/"length":640/"length":636/' 'blob layers.0: float32 of 160 values takes 640 bytes, found 636'
	found 's/"output_height":4/"output_height":3/' \
		'finding: blob layers.0: float32 of 108 values takes 432 bytes, found 640' 'not sound: 1 finding'
	base=$E/rnn-int2/model.entity
	refused 's/"output_height":4/"output_height":5/' 'blob layers.0: int2 of 55 values takes 14 bytes, found 10'
	base=$E/layernorm-float32/model.entity
	refused 's/"input_height":6,"output_height":6,//' 'layers.0: "output_height" is missing'
	refused 's/"output_height":6/"output_height":7/' 'blob layers.0: float32 of 14 values takes 56 bytes, found 48'
	base=$E/embedding-float32/model.entity
	refused 's/"vocab_size":11,//' 'layers.0: "vocab_size" is missing'
	refused 's/"embedding_dim":5/"embedding_dim":6/' 'blob layers.0: float32 [11, 6] takes 264 bytes, found 220'
	base=$E/swiglu-float32/model.entity
	refused 's/"output_height":10/"output_height":11/' \
		'blob layers.0: float32 of 226 values takes 904 bytes, found 824'
	base=$E/residual-float32/model.entity
	refused 's/"blobs":null/"blobs":[{"path":"layers.0","offset":0,"length":0,"dtype":"float32","scale":1,"native":true}]/' \
		'blob layers.0: a Residual has no weights of its own'
}

@test "refused: layers within layers" {
	base=$E/parallel-nested-float32/model.entity
	in=layers.0.parallel_branches.0
	refused 's/"Sequential"/"Sequentially"/' "$in: unknown layer type \"Sequentially\""
	refused 's/"combine_mode":"add"/"combine_mode":"gated"/' \
		"$in.sequential_layers.1 (Parallel): \"combine_mode\" is \"gated\", which cannot be run (supported: concat, grid_scatter, add, avg)"
	refused 's/"combine_mode":"add"/"combine_mode":1/' \
		"$in.sequential_layers.1: \"combine_mode\" is an integer, not a string"
	refused 's/"combine_mode":"add"/"combine_mode":"add","sequential_layers":[{}]/' \
		"$in.sequential_layers.1: a Parallel with \"sequential_layers\""
	refused 's/sequential_layers.0"/sequential_layers.2"/' \
		"blob $in.sequential_layers.2: no such layer (layers are numbered 0..1, without sign or leading zeros)"
	refused 's/sequential_layers.0"/sequential_layers.00"/' \
		"blob $in.sequential_layers.00: no such layer (layers are numbered 0..1, without sign or leading zeros)"
	refused 's/sequential_layers.0"/meta_observed_layer"/' \
		"blob $in.meta_observed_layer: a Sequential has no \"meta_observed_layer\""
	refused "s/$in.sequential_layers.0\"/$in\"/" "blob $in: a Sequential has no weights of its own"
	refused "s/$in.sequential_layers.0\"/elsewhere\"/" \
		"$in.sequential_layers.0 (Dense) has no weights: there is no blob $in.sequential_layers.0"
	refused 's/"input_height":4,"output_height":3/"input_height":4,"output_height":2/' \
		"$in.sequential_layers.1.parallel_branches.1: a branch of 3 values, expected 2 as the first has"
	refused 's/"sequential_layers":\[/"sequential_layers":[1,/' \
		"$in.sequential_layers.0 is an integer, not an object"
	refused 's/"sequential_layers":\[/"sequential_layers":[{"Type":1},/' \
		"$in.sequential_layers.0: the key \"Type\" must be written \"type\""
	refused 's/"output_height":4,"softmax_type"/"output_height":4,"is_disabled":0,"softmax_type"/' \
		"$in.sequential_layers.0: \"is_disabled\" is an integer, not true or false"
}

@test "refused: layers within layers, too deep" {
	layer='{"type":"Sequential","activation":"Linear","dtype":"float32","sequential_layers":['
	with_header "{\"format_version\":1,\"network\":{\"depth\":1,\"rows\":1,\"cols\":1,\"layers_per_cell\":1,\"layers\":[$(
		printf "$layer%.0s" {1..31})$(printf ']}%.0s' {1..31})]},\"blobs\":null}" >deep.entity
	run -3 --separate-stderr entity-dump deep.entity
	[ "$stderr" = "entity-dump: deep.entity: byte $(grep -abo '\[' deep.entity | sed -n 32p | cut -d: -f1): JSON: nested deeper than 64" ]
}

@test "read: a bridge section may name layers within layers" {
	cell='"cell":"0.sequential_layers'
	nodes='{"name":"a","op":"dense",'$cell'.0","in":["x"],"params":{"in_features":7,"out_features":6,"bias":false}},'
	nodes+='{"name":"g","op":"gelu",'$cell'.0","in":["a"],"params":{"approximate":"tanh"}},'
	nodes+='{"name":"n","op":"layernorm",'$cell'.1","in":["g"],"params":{"dim":6,"eps":1e-5,"scale":true,"offset":true}},'
	nodes+='{"name":"b","op":"dense",'$cell'.2","in":["n"],"params":{"in_features":6,"out_features":6,"bias":false}},'
	nodes+='{"name":"y","op":"residual",'$cell'.3","in":["b","n"],"params":{}}'
	edit "$E/sequential-float32/model.entity" \
		's/}$/,"bridge":{"version":1,"inputs":[{"name":"x","dtype":"float32","shape":["n",7]}],"nodes":['"$nodes"'],"outputs":["y"]}}/' >net.entity
	loom-infer -m net.entity "$E/sequential-float32/input.npy" >y.npy
	loom-infer -m "$E/sequential-float32/model.entity" "$E/sequential-float32/input.npy" >expected.npy
	same y.npy expected.npy
	base=net.entity
	refused 's/"cell":"0.sequential_layers.3"/"cell":"0.sequential_layers.4"/' 'node y: "cell" is no layer of the network'
	refused 's/"cell":"0.sequential_layers.3"/"cell":"0"/' 'node y: "cell" is no layer of the network'
	refused 's/"cell":"0.sequential_layers.3",//' 'bridge: no node is layers.0.sequential_layers.3'
}

@test "refused: bridge sections against layers of other types" {
	base=$E/cells.entity
	refused 's/"kernel":\[2,2\]/"kernel":[2,1]/' 'node c: its weights are not laid out as those of layers.0'
	refused 's/"groups":1,"bias":true/"groups":2,"bias":true/' \
		'node c (conv2): groups is 2, which does not divide in_channels 2 and out_channels 3'
	refused 's/"hidden_size":4,/"hidden_size":5,/' 'node r: hidden_size is 5, but output_height of layers.2 is 4'
	refused 's/"num_kv_heads":2,"head_dim":2,"value_dim":2/"num_kv_heads":4,"head_dim":2,"value_dim":2/' \
		'node m: num_kv_heads is 4, but num_kv_heads of layers.5 is 2'
	refused 's/"value_features":4/"value_features":5/' 'node m: value_features is 5, but d_model of layers.5 is 4'
	refused 's/bridge.nodes.r.b2/bridge.nodes.r.b3/' 'node r (rnn): there is no blob for its b2'
	refused 's/"biases":2/"biases":1/' 'blob bridge.nodes.r.b2 belongs to no node'
	refused 's/"cell":"6"/"cell":"9"/' 'node s: "cell" is no layer of the network'
	refused 's/"op":"relu","cell":"0"/"op":"relu","cell":"1"/' \
		'node act (relu): layers.1 is a LayerNorm with the activation Linear'
	refused 's/"path":"layers.8"/"path":"elsewhere.8"/' 'layers.8 (RMSNorm) has no weights: there is no blob layers.8'
}

@test "write: --plain leaves the section out where Loom computes the chain, and the bits stay" {
	count=0
	while read -r name expected; do
		"$PYTHON" "$TOP/test/cmd/chains.py" stream "$name" >net.stream
		"$PYTHON" "$TOP/test/cmd/chains.py" input "$name" >x.npy
		loom-stream <net.stream >net.entity
		loom-stream --plain <net.stream >plain.entity
		found=plain
		grep -aq '"bridge":' plain.entity && found=bridge
		[ "$found" = "$expected" ] || { echo "$name: $found, expected $expected"; return 1; }
		loom-infer -m net.entity x.npy >y.npy
		loom-infer -m plain.entity x.npy >z.npy
		same y.npy z.npy
		count=$((count + 1))
	done < <("$PYTHON" "$TOP/test/cmd/chains.py" list)
	[ "$count" = 38 ]
}

@test "write: what stands for absent weights changes no bit and is Loom's" {
	"$PYTHON" "$TOP/test/cmd/chains.py" stream tokens-no-bias | loom-stream --plain >net.entity
	entity-dump net.entity | grep '^weight layers.0.b' | cut -d ' ' -f 2-7 >out
	diff - out <<-'END'
		layers.0.bq float32 [4] min=0 max=0 mean=0
		layers.0.bk float32 [4] min=0 max=0 mean=0
		layers.0.bv float32 [4] min=0 max=0 mean=0
		layers.0.bo float32 [4] min=0 max=0 mean=0
	END
	"$PYTHON" "$TOP/test/cmd/chains.py" stream norm-no-scale | loom-stream >net.entity
	[ "$(tail -c 16 net.entity | od -An -tx4 | tr -d ' ')" = 3f8000003f8000003f8000003f800000 ]
	grep -aq '"scale":false' net.entity
}
