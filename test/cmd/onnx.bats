load helper

# network INPUTS NODE...: a stream of nodes without tensors, the last of which makes the output y.
network() {
	local inputs=$1
	shift
	printf '{"loom_stream":2,"planet":"test","model":"net","mode":"eval","nodes":%d,"bytes":0,"inputs":[%s],"outputs":["y"]}\n' \
		$# "$inputs"
	printf '%s\n' "$@"
	printf '{"end":true,"bytes":0}\n'
}

x='{"name":"x","dtype":"float32","shape":["batch",4]}'

# node NAME OP IN PARAMS
node() { printf '{"name":"%s","op":"%s","in":[%s],"params":{%s},"tensors":[]}' "$1" "$2" "$3" "$4"; }

# refuses STATUS MESSAGE COMMAND...: nothing appears.
refuses() {
	local status=$1 message=$2
	shift 2
	run --separate-stderr "-$status" "$@"
	[ "$stderr" = "$message" ] || {
		echo "$stderr"
		return 1
	}
	[ ! -e no.onnx ]
}

# there_and_back: net.entity is what an import of its export is.
there_and_back() {
	rm -f net.onnx
	loom-export -f onnx "$@" -o net.onnx net.entity && loom-import net.onnx >back.entity && same back.entity net.entity
}

@test "onnx: a number that an attribute's 32 bits do not hold is refused" {
	network "$x" "$(node y elu '"x"' '"alpha":0.33333333333333331')" | loom-stream >net.entity
	refuses 3 'loom-export: net.entity: node y (elu): alpha is 0.33333333333333331, ONNX has 32 bits for it, which hold 0.333333343' \
		loom-export -f onnx -o no.onnx net.entity
	network "$x" "$(node y clip '"x"' '"min":null,"max":1e39')" | loom-stream >net.entity
	refuses 3 'loom-export: net.entity: node y (clip): max is 9.9999999999999994e+38, ONNX has 32 bits for it, which hold inf' \
		loom-export -f onnx -o no.onnx net.entity
}

@test "onnx: decimals survive the 32 bits" {
	for slope in 0.01 0.1 0.2 -3.5 1e-7 0.29999998 1e30; do
		network "$x" "$(node y leaky_relu '"x"' "\"negative_slope\":$slope")" | loom-stream >net.entity
		there_and_back
	done
}

@test "onnx: what has no form there is refused by the node's name" {
	network "$x" "$(node y squeeze '"x"' '"axes":[]')" | loom-stream >net.entity
	refuses 3 'loom-export: net.entity: node y (squeeze): axes is empty, which onnx has no form for' \
		loom-export -f onnx -o no.onnx net.entity
}

@test "onnx: opsets and types that are not written are refused" {
	network "$x" "$(node y relu '"x"' '')" | loom-stream >net.entity
	for opset in 17 18 19 20 21 22 23; do
		there_and_back --opset $opset
	done
	"$PYTHON" "$TOP/test/cmd/streams.py" tied | loom-stream >tied.entity
	refuses 2 'loom-export: tied.entity: dtype q8_0: onnx has f32, f16 and bf16' \
		loom-export -f onnx -d q8_0 -o no.onnx tied.entity
}

@test "onnx: a tied tensor stands there once and comes back tied" {
	"$PYTHON" "$TOP/test/cmd/streams.py" tied | loom-stream >net.entity
	there_and_back
	run --separate-stderr -0 loom-export -f onnx -d f16 -o half.onnx net.entity
	[ "${stderr_lines[0]}" = 'loom-export: tensor a.weight: float32 to float16: 0 of 4 values change, by at most 0, 0 ULP; overflow 0, underflow 0, subnormal 0' ]
	[ "${stderr_lines[1]}" = 'loom-export: half.onnx: reads back identically here' ]
	[ "${#stderr_lines[@]}" -eq 2 ]
}

# What one operation becomes and the operations that look the same are two networks, and stay so.
@test "onnx: an operation and the operations that it is made of are told apart" {
	local one=(silu relu2 relu6 expm1 log1p rsqrt mish) op
	for op in "${one[@]}"; do
		network "$x" "$(node y "$op" '"x"' '')" | loom-stream >net.entity
		there_and_back
	done
	network "$x" "$(node s sigmoid '"x"' '')" "$(node y mul '"x","s"' '')" | loom-stream >net.entity
	there_and_back
	network "$x" "$(node r relu '"x"' '')" "$(node y mul '"r","r"' '')" | loom-stream >net.entity
	there_and_back
	network "$x" "$(node r relu '"x"' '')" "$(node y clip '"r"' '"min":null,"max":6')" | loom-stream >net.entity
	there_and_back
	network "$x" "$(node e equal '"x","x"' '')" "$(node y not '"e"' '')" | loom-stream >net.entity
	there_and_back
}

@test "onnx: names that an export gives do not take those of the network" {
	network "$x" "$(node y/sigmoid relu '"x"' '')" "$(node y silu '"y/sigmoid"' '')" | loom-stream >net.entity
	there_and_back
	network "$x" "$(node extent/batch relu '"x"' '')" "$(node y reshape '"extent/batch"' '"shape":["batch*4"]')" |
		loom-stream >net.entity
	there_and_back
}

@test "onnx: a network whose names make it look like another one is not written" {
	network "$x" "$(node y/sigmoid sigmoid '"x"' '')" "$(node y mul '"x","y/sigmoid"' '')" | loom-stream >net.entity
	refuses 1 'loom-export: no.onnx: reads back as another network, and is not written: node y/sigmoid is silu, not sigmoid' \
		loom-export -f onnx -o no.onnx net.entity
}

@test "onnx: extents come back as the expressions that they were" {
	for shape in '"batch*4"' '"(batch+1)*4-4"' '"batch","2*2"' '2,"batch//2",4' '"batch*4//2",2'; do
		network "$x" "$(node y reshape '"x"' "\"shape\":[$shape]")" | loom-stream >net.entity
		there_and_back
	done
}
