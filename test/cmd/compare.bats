load helper

C=$FIXTURES/compare

# write NAME VALUES [DTYPE]: NAME.npy by NumPy.
write() {
	"$PYTHON" - "$@" <<-'PY'
		import sys
		import numpy as np
		inf, nan = np.inf, np.nan
		name, values, *dtype = sys.argv[1:]
		np.save(f"{name}.npy", np.array(eval(values), *(dtype or ["f4"])))
	PY
}

# pipe FILE: its bytes through a pipe.
pipe() { cat -- "$1"; }

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

# ---- the answer ----

@test "compare: every measure is what exact rational arithmetic says, under four rules" {
	try() {
		local name=$1
		shift
		run -1 loom-compare --report ndjson="$name" "$@" "$C/a.safetensors" "$C/b.safetensors"
		"$PYTHON" "$C/check.py" "$name" "$name"
	}
	try default
	try none_nan --scale none --equal-nan
	try relative --atol 0 --rtol 1e-3
	try both --atol 1e-6 --rtol 1e-4
}

# a = [1.5, 2, 0], b = [1, 2, 0]: by hand mean 0.5/3, ulps 2^22, cosine 5.5/sqrt(6.25*5).
@test "compare: the text report, worked out by hand" {
	write a '[[1.5, 2, 0]]'
	write b '[[1, 2, 0]]'
	run --separate-stderr -1 loom-compare a.npy b.npy
	cat >expected <<-'END'
		rule: |a-b| <= atol*S + rtol*|b|, S = max(1, max|b|), atol = 1e-05, rtol = 0
		label  tensor  type            max abs  at      mean abs  max rel  max ulp  rms       cosine      snr dB
		DIFF   array   float32 [1, 3]  0.5      [0, 0]  0.166667  0.5      4194304  0.288675  0.98386991  13.0
		not the same: 1 DIFF
		1/1 rows, 1/1 tensors compared
	END
	diff expected - <<<"$output"
	[ -z "$stderr" ]
	loom-compare a.npy a.npy >out
	[ "$(tail -n 1 out)" = "1/1 rows, 1/1 tensors compared" ]
	grep -q '^EXACT' out
}

@test "compare: a difference that equals the bound passes, the next number does not" {
	write b '[0, 4]' f8
	write at '[0, 4.5]' f8
	write past '[0, np.nextafter(4.5, 5)]' f8
	loom-compare -q --scale none --atol 0.5 at.npy b.npy
	run -1 loom-compare -q --scale none --atol 0.5 past.npy b.npy
	# S = 4 makes of 0.125 the same bound
	loom-compare -q --atol 0.125 at.npy b.npy
	run -1 loom-compare -q --atol 0.125 past.npy b.npy
	# and so does 0.125*|b|, alone or in part
	loom-compare -q --atol 0 --rtol 0.125 at.npy b.npy
	run -1 loom-compare -q --atol 0 --rtol 0.125 past.npy b.npy
	loom-compare -q --scale none --atol 0.25 --rtol 0.0625 at.npy b.npy
	run -1 loom-compare -q --scale none --atol 0.25 --rtol 0.0625 past.npy b.npy
	loom-compare -q --atol 0.0625 --rtol 0.0625 at.npy b.npy
	run -1 loom-compare -q --atol 0.0625 --rtol 0.0625 past.npy b.npy
}

@test "compare: S is the greatest |b|, but not for integers" {
	write a '[100000.5, 1]' f8
	write b '[100000, 1]' f8
	loom-compare -q a.npy b.npy
	run -1 loom-compare -q --scale none a.npy b.npy
	write ids '[100001, 1]' i8
	write right '[100000, 1]' i8
	run -1 loom-compare -q ids.npy right.npy
	run -1 loom-compare -q --rtol 1e-6 ids.npy right.npy
	loom-compare -q --atol 1 ids.npy right.npy
	loom-compare -q --rtol 1e-5 ids.npy right.npy
}

@test "compare: an infinity or a NaN does not hide behind a large tolerance" {
	write b '[inf, 3]'
	write a '[-inf, 3]'
	loom-compare -q b.npy b.npy
	run -1 loom-compare --atol 1e300 --rtol 1e300 a.npy b.npy
	[[ $output == *"1 with NaN or unequal infinities, first at [0]"* ]]
	write a '[nan, 3]'
	run -1 loom-compare -q --atol 1e300 --rtol 1e300 a.npy b.npy
	run -1 loom-compare -q --atol 1e300 a.npy a.npy
	loom-compare -q --equal-nan a.npy a.npy
	run -1 loom-compare -q --equal-nan --atol 1e300 a.npy b.npy
}

# The sums of squares are beyond binary64; the sign of such a NaN is the processor's.
@test "compare: a measure that is no number is nan, without a sign" {
	"$PYTHON" -c 'import numpy as n; a = n.array([1.7e308, -1.7e308]); n.save("a.npy", a); n.save("b.npy", -a)'
	run -1 loom-compare a.npy b.npy
	[ "${lines[2]}" = "DIFF   array   float64 [2]  inf      [0]  inf       inf      18436757907005404908  inf  nan     nan" ]
}

@test "compare: what proves nothing answers no" {
	write zeros '[[0, 0], [0, 0]]'
	run -1 loom-compare zeros.npy zeros.npy
	[[ $output == *"PASS "*"vacuous: max|b| is within the tolerance"* ]]
	[[ $output == *"not the same: 1 PASS (1 vacuous)"* ]]
	loom-compare -q --allow-vacuous zeros.npy zeros.npy
	write small '[[1e-6, -9e-6], [0, 0]]'
	run -1 loom-compare -q zeros.npy small.npy
	loom-compare -q --atol 1e-7 small.npy small.npy
	run -1 loom-compare -q --atol 1e-5 --scale none small.npy small.npy
	write no-rows 'np.zeros((0, 3))'
	run -1 loom-compare no-rows.npy no-rows.npy
	[ "${lines[-1]}" = "0/0 rows, 1/1 tensors compared" ]
	run -1 loom-compare -q --allow-vacuous no-rows.npy no-rows.npy
	"$PYTHON" -c 'import numpy as n; n.savez("nothing.npz")'
	run -1 loom-compare nothing.npz nothing.npz
	[ "${lines[-1]}" = "0/0 rows, 0/0 tensors compared" ]
	[ "${lines[-2]}" = "not the same: nothing to compare" ]
	run -1 loom-compare --skip array zeros.npy zeros.npy
	[ "${lines[-1]}" = "0/2 rows, 0/1 tensors compared" ]
}

@test "compare: missing, extra and skipped" {
	"$PYTHON" - <<-'PY'
		import numpy as np
		one, two = np.ones(3), np.full((2, 2), 2.0)
		np.savez("a.npz", both=one, mine=two, other=one)
		np.savez("b.npz", both=one, theirs=two, other=two)
	PY
	run -1 loom-compare --report labels a.npz b.npz
	[ "$output" = "$(printf '%s\n' 'both same' 'mine extra' 'other different' 'theirs missing')" ]
	run -1 loom-compare --skip other a.npz b.npz
	[ "${lines[-1]}" = "3/9 rows, 1/4 tensors compared" ]
	[ "${lines[-2]}" = "not the same: 1 EXACT, 1 MISSING, 1 EXTRA, 1 SKIPPED" ]
	run -1 loom-compare -q --skip other --allow-missing a.npz b.npz
	run -1 loom-compare -q --skip other --allow-extra a.npz b.npz
	loom-compare -q --skip other --allow-extra --allow-missing a.npz b.npz
	loom-compare -q --skip other --skip mine --skip theirs a.npz b.npz
	says 2 "loom-compare: no tensor is called nobody, so none is skipped" loom-compare --skip nobody a.npz b.npz
}

@test "compare: single tensors match whatever their names, and shapes are never broadcast" {
	write x '[[1, 2], [3, 4]]'
	"$PYTHON" - <<-'PY'
		import numpy as np
		from safetensors.numpy import save_file
		x = np.load("x.npy")
		np.savez("x.npz", logits=x)
		save_file({"y": x}, "x.safetensors")
		np.save("row.npy", x[:1])
		np.save("flat.npy", x.reshape(4))
	PY
	loom-compare x.npy x.npz >out
	grep -q '^EXACT  logits ' out
	loom-compare -q x.safetensors x.npy
	run -1 loom-compare row.npy x.npy
	[ "${lines[-1]}" = "0/2 rows, 1/1 tensors compared" ]
	[[ $output == *"float32 [1, 2] / float32 [2, 2]"*"shapes differ"* ]]
	run -1 loom-compare -q flat.npy x.npy
}

# ---- files ----

@test "compare: byte order, memory order and header version do not matter" {
	"$PYTHON" - <<-'PY'
		import numpy as np
		from numpy.lib import format
		x = np.arange(24, dtype="f4").reshape(2, 3, 4) - 7
		np.save("x.npy", x)
		np.save("big.npy", x.astype(">f4"))
		np.save("fortran.npy", np.asfortranarray(x.astype(">f8")))
		for v in (2, 3):
		    with open(f"v{v}.npy", "wb") as f:
		        format.write_array(f, x, version=(v, 0))
		np.savez_compressed("x.npz", x=np.asfortranarray(x), y=x.astype("i2"))
		np.savez("y.npz", x=x, y=x)
	PY
	for other in big fortran v2 v3; do
		loom-compare "$other.npy" x.npy | grep -q '^EXACT'
		loom-compare x.npy "$other.npy" | grep -q '^EXACT'
	done
	run -0 loom-compare x.npz y.npz
	[ "$(grep -c ^EXACT <<<"$output")" = 2 ]
}

@test "compare: standard input on either side, from a file or a pipe" {
	set -o pipefail
	write a '[[1, 2], [3, 5]]'
	write b '[[1, 2], [3, 4]]'
	"$PYTHON" - <<-'PY'
		import numpy as np
		from safetensors.numpy import save_file
		both = {"b": np.load("b.npy"), "c": np.ones(1 << 20)}
		np.savez_compressed("b.npz", **both)
		save_file(both, "b.safetensors")
	PY
	for rtol in 0 1e-9; do
		run -1 loom-compare --rtol $rtol a.npy b.npy
		expected=$output
		run -1 loom-compare --rtol $rtol - b.npy <a.npy
		[ "$output" = "$expected" ]
		run -1 loom-compare --rtol $rtol a.npy - <b.npy
		[ "$output" = "$expected" ]
		run -1 bash -c "cat a.npy | loom-compare --rtol $rtol - b.npy"
		[ "$output" = "$expected" ]
		run -1 bash -c "cat b.npy | loom-compare --rtol $rtol a.npy -"
		[ "$output" = "$expected" ]
	done
	pipe b.npz | loom-compare -q - b.safetensors
	pipe b.safetensors | loom-compare -q b.npz -
	loom-compare -q <(cat b.npz) <(cat b.safetensors)
	says 2 "loom-compare: A and B cannot both be standard input" loom-compare - - <a.npy
}

@test "compare: every prefix of a file is refused, on a pipe too" {
	write x '[[1, 2], [3, 4]]'
	"$PYTHON" - <<-'PY'
		import numpy as np
		from safetensors.numpy import save_file
		x = {"w": np.load("x.npy"), "b": np.arange(3, dtype="i8")}
		np.savez("x.npz", **x)
		np.savez_compressed("z.npz", **x)
		save_file(x, "x.safetensors")
	PY
	piped() { cat | loom-compare - x.npy; }
	for file in x.npy x.npz z.npz x.safetensors; do
		refuses_every_prefix "$file" loom-compare {} "$file"
		refuses_every_prefix "$file" piped
	done
}

@test "compare: each malformed file gets its own message" {
	"$PYTHON" "$TOP/test/cmd/bad_tensors.py" bad
	cd bad
	for expect in *.expect; do
		name=${expect%.expect}
		says 3 "loom-compare: $name: $(cat "$expect")" loom-compare "$name" "$name"
	done
	[ "${#name}" -gt 0 ]
}

@test "compare: a stream that goes on, or ends early, is noticed though nothing was compared" {
	write x '[[1, 2], [3, 4]]'
	write y '[1, 2]'
	more() { { cat x.npy && echo; } | loom-compare - y.npy; }
	less() { head -c 140 x.npy | loom-compare - y.npy; }
	says 3 "loom-compare: <stdin>: byte 144: goes on after the end of its data" more
	says 3 "loom-compare: <stdin>: byte 140: ends 4 bytes early" less
}

@test "compare: files larger than memory are compared in constant memory" {
	[ "${BUILD:-release}" = release ] || skip "sanitizers reserve address space"
	"$PYTHON" - <<-'PY'
		import json
		import numpy as np
		from numpy.lib import format
		n = 1 << 28
		for side in "ab":
		    with open(f"{side}.npy", "wb") as f:
		        format.write_array_header_1_0(f, {"descr": "<f4", "fortran_order": False, "shape": (n,)})
		        f.truncate(f.tell() + 4 * n)
		    text = json.dumps({"w": {"dtype": "F32", "shape": [n], "data_offsets": [0, 4 * n]}}).encode()
		    with open(f"{side}.safetensors", "wb") as f:
		        f.write(len(text).to_bytes(8, "little") + text)
		        f.truncate(f.tell() + 4 * n)
		        if side == "b":
		            f.seek(-4, 2)
		            f.write(np.float32(1).tobytes())
	PY
	(ulimit -v 100000 && loom-compare -q --allow-vacuous a.npy b.npy)
	(ulimit -v 100000 && loom-compare --report ndjson a.safetensors b.safetensors >out) || status=$?
	[ "$status" = 1 ]
	grep -q '"max_abs":1,"max_abs_at":\[268435455\]' out
}

@test "compare: threads change nothing" {
	"$PYTHON" - <<-'PY'
		import numpy as np
		r = np.random.default_rng(5)
		a = {n: r.standard_normal(s).astype(t) for n, s, t in
		     (("x", 300001, "f4"), ("y", (7, 65536), "f8"), ("z", 140000, "f2"), ("w", 5, "f4"))}
		np.savez("a.npz", **a)
		for v in a.values():
		    v.reshape(-1)[::3] *= 1.001
		a["x"][200000] = np.nan
		np.savez("b.npz", **a)
	PY
	run -1 loom-compare -j 1 --report json=one a.npz b.npz
	run -1 loom-compare -j 7 --report json=seven a.npz b.npz
	same one seven
}

# ---- reports ----

@test "compare: JSON reports are valid by their schema and hold the same lines" {
	run -1 loom-compare --report ndjson=lines --report json=document "$C/a.safetensors" "$C/b.safetensors"
	write a '[1e300, 2]' f8
	write b '[-1e300, 2]' f8
	run -1 loom-compare --report ndjson=more a.npy b.npy
	"$PYTHON" - "$TOP/schemas/report-line.json" <<-'PY'
		import json
		import sys
		import jsonschema
		schema = json.load(open(sys.argv[1]))
		jsonschema.Draft202012Validator.check_schema(schema)
		check = jsonschema.Draft202012Validator(schema).validate
		lines = [json.loads(line) for line in open("lines")]
		for line in lines + [json.loads(line) for line in open("more")]:
		    check(line)
		document = json.load(open("document"))
		check(document)
		assert document["tensors"] + [document["verdict"]] == lines
		names = [line["name"] for line in lines[:-1]]
		assert names == sorted(names) and lines[-1]["kind"] == "verdict"
		for spoilt in ({**lines[0], "label": "SAME"}, {**lines[0], "time": 1}, {**lines[0], "max_abs": "big"}):
		    try:
		        check(spoilt)
		    except jsonschema.ValidationError:
		        continue
		    raise SystemExit("the schema takes anything")
	PY
}

@test "compare: several reports from one run, to files and standard output" {
	write a '[1, 2]'
	write b '[1, 3]'
	run -1 loom-compare --report labels=l --report md=m --report junit=j --report ndjson a.npy b.npy
	[ "${lines[0]:0:33}" = '{"loom_report":1,"kind":"tensor",' ]
	[ "$(cat l)" = "array different" ]
	# shellcheck disable=SC2016
	[ "$(head -n 1 m)" = 'Rule: `|a-b| <= atol*S + rtol*|b|, S = max(1, max|b|), atol = 1e-05, rtol = 0`' ]
	grep -qF '| DIFF | array | float32 \[2\] | 1 | \[1\] |' m
	[ "$(tail -n 1 m)" = "2/2 rows, 1/1 tensors compared" ]
	run -1 loom-compare --report labels=- a.npy b.npy
	[ "$output" = "array different" ]
	run -1 loom-compare -q --report labels=l a.npy b.npy
	[ -z "$output" ]
	says 2 "loom-compare: two reports cannot both be on standard output" loom-compare --report json --report text=- a.npy b.npy
}

@test "compare: JUnit is XML whose failures are what makes the answer no" {
	"$PYTHON" - <<-'PY'
		import numpy as np
		np.savez("a.npz", **{"a<&\">b": np.ones(2), "c": np.ones(2), "z": np.zeros(2)})
		np.savez("b.npz", **{"a<&\">b": np.ones(2), "c": np.zeros(2) + 3, "z": np.zeros(2), "m": np.ones(1)})
	PY
	run -1 loom-compare -q --skip m --report junit=x a.npz b.npz
	"$PYTHON" - <<-'PY'
		import xml.etree.ElementTree as tree
		root = tree.parse("x").getroot()
		assert root.attrib == {"name": "loom-compare", "tests": "5", "failures": "3", "skipped": "1"}, root.attrib
		failed = [c.get("name") for c in root if c.find("failure") is not None]
		assert failed[:2] == ["c", "z"] and len(failed) == 3, failed
		assert root[0].get("name") == "a<&\">b"
		assert len(root.findall(".//skipped")) == 1
	PY
	run -0 loom-compare -q --report junit=x "$C/a.safetensors" "$C/a.safetensors" --equal-nan --allow-vacuous
	grep -q 'failures="0"' x
}

@test "compare: reports hold nothing of the place where they were made" {
	mkdir one two
	write a '[1, 2]'
	write b '[1, 3]'
	cp a.npy one/left.npy
	cp b.npy two/right.npy
	for kind in text json ndjson md junit labels; do
		run -1 loom-compare --report "$kind=first" -q a.npy b.npy
		run -1 loom-compare --report "$kind=second" -q "$PWD/one/left.npy" - <two/right.npy
		same first second
	done
}

@test "compare: names from a file cannot break a line or a table" {
	"$PYTHON" - <<-'PY'
		import json
		name = "x\n\x1b[31m| `*"
		text = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
		open("a.safetensors", "wb").write(len(text).to_bytes(8, "little") + text + b"\0\0\x80\x3f")
	PY
	loom-compare a.safetensors a.safetensors >out
	[ "$(wc -l <out)" = 5 ]
	loom-compare --report labels a.safetensors a.safetensors >out
	[ "$(cat out)" = 'x??[31m| `* same' ]
	loom-compare --report md a.safetensors a.safetensors | grep -qF '| x??\[31m\| \`\* |'
	loom-compare --report ndjson a.safetensors a.safetensors >out
	"$PYTHON" -c 'import json; assert json.loads(open("out").readline())["name"] == "x\n\x1b[31m| `*"'
}

# ---- manners ----

@test "compare: the command line" {
	write a '[1, 2]'
	says 2 "usage: loom-compare [OPTIONS] A B" loom-compare a.npy
	says 2 "usage: loom-compare [OPTIONS] A B" loom-compare a.npy a.npy a.npy
	says 2 "loom-compare: --scale 'huge': expected none or max" loom-compare --scale huge a.npy a.npy
	says 2 "loom-compare: --report 'html': expected text, json, ndjson, md, junit or labels" loom-compare --report html a.npy a.npy
	says 2 "loom-compare: --report 'json=': the file has no name" loom-compare --report json= a.npy a.npy
	says 2 "loom-compare: --atol '-1': expected a number from 0 to 1e+300" loom-compare --atol -1 a.npy a.npy
	says 2 "loom-compare: --rtol 'nan': expected a number from 0 to 1e+300" loom-compare --rtol nan a.npy a.npy
	says 2 "loom-compare: --jobs '0': expected a whole number from 1 to 1024" loom-compare -j 0 a.npy a.npy
	says 2 "loom-compare: --sideways: no such option, or more than one starts so" loom-compare --sideways a.npy a.npy
	run -0 loom-compare --help
	run -0 loom-compare --version
}

@test "compare: what the machine refuses is status 4" {
	write a '[1, 2]'
	says 4 "loom-compare: none.npy: cannot open it: No such file or directory" loom-compare a.npy none.npy
	says 4 "loom-compare: .: cannot read it: Is a directory" loom-compare . a.npy
	says 4 "loom-compare: no/such: cannot make it: No such file or directory" loom-compare -q --report json=no/such a.npy a.npy
	full_disk loom-compare a.npy a.npy
	full_disk loom-compare --report json a.npy a.npy
	spool() { pipe "$C/a.safetensors" | TMPDIR=/nowhere loom-compare - a.npy; }
	run --separate-stderr -4 spool
	[[ $stderr == "loom-compare: <stdin>: cannot make the temporary file /nowhere/loom."??????": No such file or directory" ]]
}

@test "compare: a failed run leaves no report" {
	write a '[1, 2]'
	head -c 130 a.npy >cut.npy
	run -3 loom-compare --report json=out.json a.npy cut.npy
	[ ! -e out.json ]
	run -1 loom-compare --skip array --report json=out.json a.npy a.npy
	[ -s out.json ]
	[ "$(ls out.json*)" = out.json ]
}

@test "compare: the examples of the manual run" {
	set -o pipefail
	"$PYTHON" - <<-'PY'
		import numpy as np
		np.savez("a.npz", x=np.ones(3), y=np.ones(2))
		np.savez("b.npz", x=np.ones(3) + 1e-7, y=np.ones(2))
	PY
	loom-compare -q --report labels=labels.txt a.npz b.npz
	[ "$(cat labels.txt)" = "$(printf 'x same\ny same')" ]
	greatest='import json, sys; print([(t["name"], t["max_abs"]) for t in map(json.loads, sys.stdin) if t.get("max_abs")])'
	loom-compare --report ndjson a.npz b.npz | "$PYTHON" -c "$greatest" >out
	[ "$(cat out)" = "[('x', 1.0000000005838672e-07)]" ]
}

@test "compare: a file without tensors is read, and compares nothing" {
	printf '\x02\0\0\0\0\0\0\0{}' >none.safetensors
	[ "$(entity-dump none.safetensors)" = "format safetensors" ]
	run -1 --separate-stderr loom-compare none.safetensors none.safetensors
	[ "${lines[-1]}" = "0/0 rows, 0/0 tensors compared" ]
	printf 'x' >>none.safetensors
	run -3 --separate-stderr entity-dump none.safetensors
	[ "$stderr" = "entity-dump: none.safetensors: byte 10: 1 bytes follow the data of the last tensor" ]
}
