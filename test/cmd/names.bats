load helper

# What loom-compare is told of tensors by their names.  Expected lines were worked out by hand.

# write FILE.npz|FILE.npy PYTHON-DICT|ARRAY
write() {
	"$PYTHON" - "$@" <<-'PY'
		import sys
		import numpy as np
		name, values = sys.argv[1], eval(sys.argv[2])
		if name.endswith(".npz"):
		    np.savez(name, **values)
		else:
		    np.save(name, values)
	PY
}

# says STATUS LINE COMMAND...: that status with exactly that line (2 adds the hint about --help).
says() {
	local status=$1 line=$2
	shift 2
	run --separate-stderr "-$status" "$@"
	[ "$status" != 2 ] || stderr=${stderr%$'\n'Try*}
	[ "$stderr" = "$line" ] || {
		echo "$stderr"
		return 1
	}
}

# labels COMMAND...: its labels on standard output, whatever its status.
labels() {
	run --separate-stderr "$@" --report labels
	[ "$status" -le 1 ]
}

one='np.array([1, 2], "f4")' two='np.array([3, 4], "f4")'

@test "names: --map by names and by globs with several stars, the first line that fits" {
	write a.npz "{'h.0.w': $one, 'h.1.w': $two, 'net_3_b': $one, 'same': $two, 'odd': $one}"
	write b.npz "{'layer0/kernel': $one, 'layer1/kernel': $two, 'b:net:3': $one, 'same': $two, 'even': $one}"
	printf '%s\n' '# comment' '' 'odd  even' 'h.*.w	layer*/kernel' 'h.1.* never*' 'net_*_b b:net:*' >map
	labels loom-compare --map map a.npz b.npz
	[ "$status" = 0 ]
	[ "$output" = "b:net:3 same
even same
layer0/kernel same
layer1/kernel same
same same" ]
	printf 'h.*.w layer*/kernel\r\nodd even\nnet_*_* b:*:*' >map
	labels loom-compare --map map a.npz b.npz
	[ "$status" = 1 ]
	[ "$output" = "b:3:b extra
b:net:3 missing
even same
layer0/kernel same
layer1/kernel same
same same" ]
}

@test "names: a map that is none" {
	write a.npz "{'x': $one, 'y': $one}"
	printf 'x\n' >map
	says 3 "loom-compare: map:1: 1 words, expected two: A's name and B's" loom-compare --map map a.npz a.npz
	printf '# words\nx y z\n' >map
	says 3 "loom-compare: map:2: 3 words, expected two: A's name and B's" loom-compare --map map a.npz a.npz
	printf 'x* y\n' >map
	says 3 "loom-compare: map:1: 1 and 0 stars, expected as many in B's name as in A's (up to 16)" \
		loom-compare --map map a.npz a.npz
	printf 'x y\n' >map
	says 2 "loom-compare: --map: two tensors of A are called y then, expected one" \
		loom-compare --map map a.npz a.npz
	printf 'x\0y\n' >map
	says 3 "loom-compare: map:1: a NUL byte" loom-compare --map map a.npz a.npz
	head -c 9000 /dev/zero | tr '\0' x >map
	says 3 "loom-compare: map:1: a line of more than 8192 bytes" loom-compare --map map a.npz a.npz
	printf 'x y # z z z z z z\n' >map
	says 3 "loom-compare: map:1: more than 8 words" loom-compare --map map a.npz a.npz
	says 4 "loom-compare: nowhere: cannot open it: No such file or directory" loom-compare --map nowhere a.npz a.npz
}

@test "names: a glob has any number of stars, and a map up to 16" {
	write a.npz "{'x': $one, 'y': $one}"
	local stars='*****************'
	labels loom-compare --only "${stars}x" --permute "$stars*=0" a.npz a.npz
	[ "$status" = 0 ]
	[ "$output" = "x same
y skipped" ]
	says 2 "loom-compare: --ignore 'x${stars}x': no tensor has such a name" \
		loom-compare --ignore "x${stars}x" a.npz a.npz
	printf '%s %s\n' "$stars" "$stars" >map
	says 3 "loom-compare: map:1: 17 and 17 stars, expected as many in B's name as in A's (up to 16)" \
		loom-compare --map map a.npz a.npz
}

@test "names: standard input is one file" {
	write a.npy "$one"
	says 2 "loom-compare: A and B cannot both be standard input" loom-compare - - <a.npy
	says 2 "loom-compare: A and --map cannot both be standard input" loom-compare --map - - a.npy <a.npy
	says 2 "loom-compare: --policy and --expect cannot both be standard input" \
		loom-compare --policy - --expect - a.npy a.npy <a.npy
	echo 'array same' | loom-compare -q --expect - a.npy a.npy
}

@test "names: --permute brings A's axes into B's order" {
	write a.npz "{'conv.w': np.arange(24).reshape(2, 3, 4), 'conv.b': np.arange(6.).reshape(2, 3)}"
	write b.npz "{'conv.w': np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1), 'conv.b': np.arange(6.).reshape(2, 3).T}"
	loom-compare -q --permute '*.w=2,0,1' --permute '*.b=1,0' a.npz b.npz
	run -1 loom-compare -q --permute '*.w=2,1,0' --permute '*.b=1,0' a.npz b.npz
	# The first that fits counts; a place is told in B's order.
	run -1 loom-compare --permute '*.w=2,0,1' --permute '*=0,1' --only '*.w' a.npz a.npz
	[[ ${lines[3]} = "DIFF     conv.w  int64 [4, 2, 3] / int64 [2, 3, 4]"* ]]
	write big.npy 'np.random.default_rng(1).random((70, 3, 1000))'
	write turned.npy 'np.load("big.npy").transpose(1, 2, 0)'
	loom-compare -q --permute '*=1,2,0' big.npy turned.npy
	loom-compare -q --permute '*=1,2,0' - turned.npy <big.npy
	"$PYTHON" -c 'import numpy as np; a = np.load("turned.npy"); a[2, 999, 69] += 1; np.save("off.npy", a)'
	run -1 loom-compare --report ndjson --permute '*=1,2,0' big.npy off.npy
	[[ $output = *'"max_abs_at":[2, 999, 69]'* ]]
	[[ $output = *'"unlike":1,'* ]]
}

@test "names: a permutation that is none, or of other axes" {
	write a.npy 'np.zeros((2, 3))'
	local text
	for text in '*' '=0,1' 'x=' 'x=0,0' 'x=1' 'x=0,2' 'x=0,1,' 'x=0;1' 'x=-1,0' 'x=16' 'x=0, 1'; do
		says 2 "loom-compare: --permute '$text': expected GLOB=AXES, the axes of A's tensor in B's order, as in 'conv*=0,3,1,2'" \
			loom-compare --permute "$text" a.npy a.npy
	done
	says 2 "loom-compare: --permute 'y=1,0': no tensor that is left has such a name" \
		loom-compare --permute y=1,0 a.npy a.npy
	says 2 "loom-compare: --permute 'a*=0,1': no tensor that is left has such a name" \
		loom-compare --permute '*=1,0' --permute 'a*=0,1' a.npy a.npy
	says 2 "loom-compare: --permute 'a*=0,2,1': tensor array has 2 axes in A, expected 3" \
		loom-compare --permute 'a*=0,2,1' a.npy a.npy
}

@test "names: what is left out may have other axes than --permute" {
	write a.npz "{'w': np.zeros((2, 3)), 'b': $one, 'c': $one}"
	write b.npz "{'w': np.zeros((3, 2)), 'b': $one, 'c': $one}"
	labels loom-compare --allow-vacuous --permute '*=1,0' --ignore b --skip c a.npz b.npz
	[ "$status" = 0 ]
	[ "$output" = "b skipped
c skipped
w same" ]
	says 2 "loom-compare: --permute '*=1,0': tensor c has 1 axes in A, expected 2" \
		loom-compare --permute '*=1,0' --ignore b a.npz b.npz
}

@test "names: --only and --ignore leave tensors out, and say so" {
	write a.npz "{'h.0.w': $one, 'h.1.w': $two, 'h.1.b': $one}"
	write b.npz "{'h.0.w': $one, 'h.1.w': $one, 'h.1.b': $one, 'more': $one}"
	labels loom-compare --only 'h.?.b' --only '*.0.*' a.npz b.npz
	[ "$status" = 0 ]
	[ "$output" = "h.0.w same
h.1.b same
h.1.w skipped
more skipped" ]
	labels loom-compare --ignore more --ignore '*w' a.npz b.npz
	[ "$status" = 0 ]
	[ "$output" = "h.0.w skipped
h.1.b same
h.1.w skipped
more skipped" ]
	run loom-compare --only '*.w' --ignore h.1.w a.npz b.npz
	[ "$status" = 0 ]
	[ "${lines[-2]}" = "same: 1 EXACT, 3 SKIPPED" ]
	[ "${lines[-1]}" = "2/8 rows, 1/4 tensors compared" ]
	says 2 "loom-compare: --only 'g*': no tensor has such a name" loom-compare --only 'g*' a.npz b.npz
	says 2 "loom-compare: --ignore 'h': no tensor has such a name" loom-compare --ignore h a.npz b.npz
	run -1 loom-compare -q --ignore '*' a.npz b.npz
}

@test "names: --policy has tolerances by glob, the first that fits" {
	write a.npz "{'h.0': np.array([1.001, 2]), 'h.1': np.array([100.1, 2]), 'z': np.array([1.1, 2])}"
	write b.npz "{'h.0': np.array([1.0, 2]), 'h.1': np.array([100.0, 2]), 'z': np.array([1.0, 2])}"
	printf '# loose\nh.0 atol=2e-3 scale=none\nh.* rtol=2e-3 atol=0\nz atol=0.2\n* atol=9\n' >policy
	run loom-compare --policy policy a.npz b.npz
	[ "$status" = 0 ]
	[ "${lines[0]}" = "rule: |a-b| <= atol*S + rtol*|b|, S = max(1, max|b|), atol = 1e-05, rtol = 0, unless the policy says another" ]
	[[ ${lines[2]} = PASS*"policy: atol = 0.002, rtol = 0, S = 1" ]]
	[[ ${lines[3]} = PASS*"policy: atol = 0, rtol = 0.002, S = max(1, max|b|)" ]]
	[[ ${lines[4]} = PASS*"policy: atol = 0.2, rtol = 0, S = max(1, max|b|)" ]]
	printf 'h.0 atol=4.9e-4\nh.1 atol=0.99e-3\nz scale=none\n' >policy
	labels loom-compare --atol 0.06 --policy policy a.npz b.npz
	[ "$status" = 1 ]
	[ "$output" = "h.0 different
h.1 different
z different" ]
	printf 'h.0\n' >policy
	says 3 "loom-compare: policy:1: a glob alone, expected atol=X, rtol=X or scale=none|max behind it" \
		loom-compare --policy policy a.npz b.npz
	local word
	for word in atol=-1 atol= atol=nan rtol=1x scale=min tolerance=1 =; do
		printf '\nh.0 atol=1 %s\n' "$word" >policy
		says 3 "loom-compare: policy:2: $word, expected atol=X, rtol=X or scale=none|max" \
			loom-compare --policy policy a.npz b.npz
	done
}

@test "names: --expect answers whether the labels are those that were kept, and shows what is not" {
	write a.npz "{'h.0': $one, 'h.1': $one, 'mine': $one}"
	write b.npz "{'h.0': $one, 'h.1': $two, 'theirs': $one}"
	run -1 loom-compare -q --report labels=kept a.npz b.npz
	loom-compare -q --expect kept a.npz b.npz
	# In another order, with an empty line and without the last LF.
	printf 'theirs missing\n\nh.0 same\nmine extra\nh.1 different' >other
	loom-compare -q --expect other a.npz b.npz
	printf 'h.0 same\nh.1 same\nmine extra\nold same\n' >kept
	run --separate-stderr -1 loom-compare -q --expect kept a.npz b.npz
	[ -z "$output" ]
	[ "$stderr" = "--- kept
+++ labels
+h.1 different
-h.1 same
-old same
+theirs missing" ]
	# Lines may end in CR LF, and whatever else a file holds is shown.
	printf 'h.0 same\r\nh.1 different\r\nmine extra\r\ntheirs missing\r\n' >other
	loom-compare -q --expect other a.npz b.npz
	printf '\0x\nh.0 same\nh.1 different\nmine extra\n' >other
	run -1 --separate-stderr bash -c "loom-compare -q --expect other a.npz b.npz 2>&1 | tr '\\0' '~'; exit \${PIPESTATUS[0]}"
	[ "$output" = "--- other
+++ labels
-~x
+theirs missing" ]
	# A yes that was not expected is a no.
	printf 'h.0 different\n' >kept
	run --separate-stderr -1 loom-compare --report json --expect kept --only h.0 --allow-missing --allow-extra a.npz a.npz
	"$PYTHON" -c 'import json, sys; json.loads(sys.argv[1])' "$output"
	[[ $stderr = *"-h.0 different"* ]]
	says 4 "loom-compare: nowhere: cannot open it: No such file or directory" loom-compare -q --expect nowhere a.npz b.npz
}

@test "names: labels have the whole of a name, so that two stay two" {
	local name
	name=$(printf '%01000d' 0)
	"$PYTHON" - "$name" <<-'PY'
		import json
		import sys
		for path, values in (("a", (1, 2)), ("first", (3, 2)), ("second", (1, 3))):
		    head = {end + sys.argv[1]: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]}
		            for i, end in enumerate("ab")}
		    text = json.dumps(head).encode()
		    with open(path + ".safetensors", "wb") as file:
		        file.write(len(text).to_bytes(8, "little") + text + bytes(values))
	PY
	labels loom-compare a.safetensors first.safetensors
	[ "$output" = "a$name different
b$name same" ]
	echo "$output" >kept
	loom-compare -q --expect kept a.safetensors first.safetensors
	run -1 loom-compare -q --expect kept a.safetensors second.safetensors
}

@test "names: the example of the manual" {
	write nhwc.npz "{'head/kernel': $one, 'conv1/k': np.arange(24.).reshape(1, 2, 3, 4)}"
	write nchw.npz "{'head.weight': $one, 'convs.1.k': np.arange(24.).reshape(1, 2, 3, 4).transpose(0, 3, 1, 2) + 5e-4}"
	printf 'head/kernel head.weight\nconv*/*     convs.*.*\n' >names
	printf 'convs.* atol=1e-4\n' >policy
	printf 'convs.1.k same\nhead.weight same\n' >labels.txt
	loom-compare --map names --permute 'convs.*=0,3,1,2' \
		--policy policy --expect labels.txt nhwc.npz nchw.npz
	run -1 loom-compare -q --map names --permute 'convs.*=0,3,1,2' nhwc.npz nchw.npz
}
