load helper

# Nodes that read nothing: what they make, the sizes of a run decide alone.  Every program takes them.

setup() {
	mkdir "$BATS_TEST_TMPDIR/work" && cd "$BATS_TEST_TMPDIR/work" || return
	TRIANGLE=$FIXTURES/layers/arange/triangle
}

# sizes INPUTS STOP: arange, and by default its greatest value.
sizes() {
	printf '%s\n' '{"loom_stream":2,"planet":"fixture","model":"a","mode":"eval","nodes":2,"bytes":0,"inputs":['"$1"'],"outputs":["m"]}' \
		'{"name":"a","op":"arange","params":{"start":[0],"stop":['"$2"'],"step":1},"tensors":[]}' \
		'{"name":"m","op":"max","params":{"axes":[0],"keepdims":false},"tensors":[]}' \
		'{"end":true,"bytes":0}'
}

@test "sizes: a node after arange reads it by default, and each run has its own extents" {
	sizes '{"name":"x","dtype":"float32","shape":["n",2]}' '"2*n"' | loom-stream >net.entity
	for n in 4 1; do
		"$PYTHON" -c "import numpy as n; n.save('x.npy', n.zeros(($n, 2), 'f4')); n.save('want.npy', n.array(2 * $n - 1))"
		loom-infer -m net.entity x.npy >y.npy
		cmp y.npy want.npy
	done
}

@test "sizes: a run without any value is refused where the greatest is asked for" {
	sizes '{"name":"x","dtype":"float32","shape":["n",2]}' '"2*n"' | loom-stream >net.entity
	"$PYTHON" -c "import numpy as n; n.save('x.npy', n.zeros((0, 2), 'f4'))"
	run -3 --separate-stderr loom-infer -m net.entity x.npy
	[ "$stderr" = "loom-infer: net.entity: layer m (max): input 0: expected at least one value along axis 0, found int64 [0]" ]
}

@test "sizes: an extent below 0 is told with the layer that states it" {
	sizes '{"name":"x","dtype":"float32","shape":["n",2]}' '"n-2"' | loom-stream >net.entity
	"$PYTHON" -c "import numpy as n; n.save('x.npy', n.zeros((1, 2), 'f4'))"
	run -3 --separate-stderr loom-infer -m net.entity x.npy
	[ "$stderr" = 'loom-infer: net.entity: layer a (arange): stop: dimension "n-2" is -1, less than nothing' ]
}

@test "sizes: a network without inputs runs" {
	sizes '' 7 | loom-stream >net.entity
	loom-infer -m net.entity </dev/null >y.npy
	"$PYTHON" -c "import numpy as n; n.save('want.npy', n.array(6))"
	cmp y.npy want.npy
}

@test "sizes: a name that no input has is refused before any input comes" {
	sizes '{"name":"x","dtype":"float32","shape":["n",2]}' '"k"' >net.stream
	run -3 --separate-stderr loom-stream <net.stream
	[ "$stderr" = "loom-stream: <stdin>: layer a (arange): stop: dimension \"k\" uses the name k, which no input's shape declares" ]
}

@test "sizes: dump shows nodes without inputs and what plain Loom leaves out" {
	loom-stream <"$TRIANGLE/net.stream" >net.entity
	entity-dump net.entity | grep '^node [ij] ' >found
	printf '%s\n' 'node i arange in= out=i start=[0] stop=["s"] step=1' \
		'node j arange in= out=j start=[0] stop=["s"] step=1' >want
	cmp found want
	run -1 entity-dump --check net.entity
	[ "${lines[1]}" = "plain Loom: node i (arange) is left out" ]
}

@test "sizes: taps hold int64 and bool values, and feeding them changes nothing" {
	loom-stream <"$TRIANGLE/net.stream" >net.entity
	loom-infer -m net.entity -t taps.safetensors "$TRIANGLE/in.npz" >y.npy
	cmp y.npy "$TRIANGLE/out.npy"
	entity-dump taps.safetensors | grep '^tensor' | cut -d' ' -f2,3 | head -n 4 >found
	printf '%s\n' 'i int64' 'i.column int64' 'j int64' 'seen bool' >want
	cmp found want
	loom-infer -m net.entity -F taps.safetensors "$TRIANGLE/in.npz" >y.npy
	cmp y.npy "$TRIANGLE/out.npy"
}

@test "sizes: lowering refuses a node without inputs by its name" {
	sizes '{"name":"x","dtype":"float32","shape":["n",2]}' '"n"' >net.stream
	run -3 --separate-stderr loom-stream --lower -o net.entity <net.stream
	[ "$stderr" = "loom-stream: <stdin>: cannot be lowered: node a (arange): it does not read what the node before it makes" ]
	[ ! -e net.entity ]
}
