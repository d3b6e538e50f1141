load helper

pieces() { "$PYTHON" "$TOP/test/cmd/pieces.py" "$@"; }

# The output of the whole sequence, and that of pieces of each length, are the same file.
any_cut() {
	local net=$1 x=$2 n
	shift 2
	loom-infer -m "$net" -o whole.npy "$x"
	for n in "$@"; do
		loom-infer --chunk "$n" -m "$net" -o cut.npy "$x"
		same whole.npy cut.npy || {
			echo "pieces of $n positions"
			return 1
		}
	done
}

@test "pieces: a decoder gives the same bits whole, in pieces of 3 and 7, token by token" {
	for net in half interleaved plain one products; do
		pieces decoder "$net" | loom-stream >net.entity
		for batch in 1 5; do
			pieces input "$batch" "$batch,23,ids" >ids.npy
			any_cut net.entity ids.npy 1 3 7 16 22 23 100
		done
	done
}

@test "pieces: threads and sets of kernels change no bit" {
	pieces decoder half | loom-stream >net.entity
	pieces input 9 2,40,ids >ids.npy
	LOOM_ISA=scalar loom-infer -m net.entity -o whole.npy ids.npy
	for jobs in 1 2 7; do
		loom-infer -j "$jobs" -c 6 -m net.entity -o cut.npy ids.npy
		same whole.npy cut.npy
	done
	LOOM_ISA=scalar loom-infer -c 5 -m net.entity -o cut.npy ids.npy
	same whole.npy cut.npy
}

# Made by exact arithmetic (fixtures/layers/make*.py), never by this program.
@test "pieces: causal attention gives the bits of exact arithmetic" {
	n=0
	for case in "$FIXTURES"/layers/{attention,scaled_dot_product_attention}/*/; do
		grep -aq '"causal":true.*"mask":"none"' "$case/net.stream" || continue
		loom-stream <"$case/net.stream" >net.entity
		for piece in 1 2 3; do
			loom-infer -c "$piece" -m net.entity -o y.npy "$case/in.npz" 2>said || {
				grep -q 'looks at several positions at once' said && continue 2
				cat said
				return 1
			}
			same y.npy "$case/out.npy"
		done
		n=$((n + 1))
	done
	[ "$n" = 13 ]
}

@test "pieces: what looks at several positions is refused by name" {
	pieces input 1 2,3,12 >x.npy
	pieces refused >names
	[ "$(wc -l <names)" = 34 ]
	while read -r name; do
		pieces refused "$name" | loom-stream >net.entity
		loom-infer -m net.entity -o y.npy x.npy
		run --separate-stderr -3 loom-infer -c 1 -m net.entity -o z.npy x.npy
		case $name in
		scaled*) layer="sdpa (scaled_dot_product_attention)" ;;
		*) layer="${name%-*} (${name%-*})" ;;
		esac
		echo "$name: $stderr"
		[ "$stderr" = "loom-infer: net.entity: layer $layer: looks at several positions at once, so the network cannot run in pieces" ]
		[ ! -e z.npy ]
	done <names
}

@test "pieces: a network for one length, inputs of several lengths, and inputs without positions are refused" {
	"$PYTHON" "$TOP/test/cmd/net.py" stream '[{"w": [[1, 2]]}]' >net.stream
	sed 's/"shape": \["batch", 2\]/"shape": [3, 2]/' net.stream | loom-stream >fixed.entity
	"$PYTHON" "$TOP/test/cmd/net.py" npy '[[1, 1], [2, 2], [3, 3]]' >x.npy
	run --separate-stderr -3 loom-infer -c 2 -m fixed.entity x.npy
	[ "$stderr" = "loom-infer: fixed.entity: the network takes 3 positions, but not 4, so it cannot run in pieces" ]
	case=$FIXTURES/layers/attention/cross
	loom-stream <"$case/net.stream" >cross.entity
	run --separate-stderr -3 loom-infer -c 2 -m cross.entity <"$case/in.npz"
	[ "$stderr" = "loom-infer: <stdin>: input key: expected 5 positions, as query has, found float32 [2, 9, 4]" ]
	case=$FIXTURES/layers/dense/rank-1
	loom-stream <"$case/net.stream" >rank-1.entity
	run --separate-stderr -3 loom-infer -c 2 -m rank-1.entity <"$case/in.npz"
	[ "$stderr" = "loom-infer: <stdin>: input x: expected an axis of positions, found float32 [6]" ]
}

@test "pieces: --chunk goes with neither --taps nor --feed, and takes a number" {
	run --separate-stderr -2 loom-infer -c 2 -m net.entity -t taps.safetensors x.npy
	[ "${stderr_lines[0]}" = "loom-infer: --chunk goes with neither --taps nor --feed, which are of whole sequences" ]
	run --separate-stderr -2 loom-infer -c 2 -m net.entity -F taps.safetensors x.npy
	[ "${stderr_lines[0]}" = "loom-infer: --chunk goes with neither --taps nor --feed, which are of whole sequences" ]
	run --separate-stderr -2 loom-infer -c 0 -m net.entity x.npy
	[ "${stderr%%:*}" = loom-infer ]
}
