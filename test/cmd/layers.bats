load helper

# fixtures/layers/<operation>/<case>/{net.stream,in.npz,out.npy}: exact arithmetic and NumPy
# (fixtures/layers/make.py), never this program, made them.
# Under a sanitizer, where all is slow, the first of these tests takes every third of them, the others fewer.
each_case() {
	local case op n=0 step=1
	[ "${BUILD:-release}" = release ] || step=10
	[ "${BUILD:-release}" = release ] || [ "$1" != run_case ] || step=3
	for case in "$FIXTURES"/layers/*/*/; do
		[ $((n++ % step)) = 0 ] || continue
		op=$(basename "$(dirname "$case")")
		"$@" "$op" "${case%/}" || {
			echo "failed: $op $(basename "$case")"
			return 1
		}
	done
}

run_case() {
	loom-stream <"$2/net.stream" >net.entity && loom-infer -m net.entity "$2/in.npz" >out.npy &&
		cmp out.npy "$2/out.npy"
}

@test "layers: every operation that loom-list names has a case" {
	loom-list layers | while read -r op _; do
		[ -d "$FIXTURES/layers/$op" ] || {
			echo "no case for $op"
			return 1
		}
	done
}

@test "layers: every case gives the bits of exact arithmetic" {
	each_case run_case
}

threads() {
	loom-stream <"$2/net.stream" >net.entity && loom-infer -m net.entity "$2/in.npz" >one.npy &&
		loom-infer -j 7 -m net.entity "$2/in.npz" >seven.npy && cmp one.npy seven.npy
}

@test "layers: seven threads give the bits of one" {
	each_case threads
}

# What is written is read again, and written the same.
again() {
	loom-stream <"$2/net.stream" >net.entity && entity-dump --json net.entity >before.json &&
		loom-stream <"$2/net.stream" | entity-dump --json - >after.json &&
		sed -i 's/"<stdin>"/"net.entity"/' after.json && cmp before.json after.json
}

@test "layers: a checkpoint on a pipe reads as the one in a file" {
	each_case again
}

@test "layers: within 1e-6 of an oracle of Loom's layers in float64, each sample alone and with others" {
	PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$FIXTURES/layers/against_oracle.py" "$BIN"
}

@test "layers: nothing along an axis is computed or refused with a line" {
	"$PYTHON" "$BATS_TEST_DIRNAME/empty.py" "$FIXTURES"
}
