load helper

# What no bit may depend on: the kernel set, the threads, the batch that a sample is in, and whether
# taps are kept.  The judge is plain C on one thread; that its bits are right is the other tests' matter.

# The names of this machine's sets, as the refusal of another has them.
sets() {
	LOOM_ISA=abacus loom-infer --selftest 2>&1 | sed -n 's/.* this machine has only //p' | tr -d , | grep scalar
}

networks() {
	sets
	"$PYTHON" "$TOP/test/cmd/bits.py"
	for net in dense tiny conv attention lstm; do
		loom-stream <"$net.stream" >"$net.entity"
		LOOM_ISA=scalar loom-infer -m "$net.entity" -r f32 -o "$net.y" -t "$net.safetensors" "$net.npy"
	done
}

@test "bits: neither the kernel set nor the number of threads changes one, with taps or without" {
	networks
	for net in dense tiny conv attention lstm; do
		for set in $(sets); do
			for jobs in 1 2 3 7; do
				echo "$net, $set, -j $jobs"
				LOOM_ISA=$set loom-infer -j "$jobs" -m "$net.entity" -r f32 -o y "$net.npy"
				same y "$net.y"
				LOOM_ISA=$set loom-infer -j "$jobs" -m "$net.entity" -r f32 -o y -t taps "$net.npy"
				same y "$net.y"
				same taps "$net.safetensors"
			done
		done
	done
}

@test "bits: a sample alone has those that it has in a batch of 64" {
	networks
	for net in dense tiny conv attention lstm; do
		"$PYTHON" -c 'import sys, numpy as n; x = n.load(sys.argv[1]); [n.save(i, x[int(i):int(i)+1]) for i in sys.argv[2:]]' \
			"$net.npy" 0 1 31 62 63
		size=$(($(stat -c %s "$net.y") / 64))
		for i in 0 1 31 62 63; do
			tail -c "+$((i * size + 1))" "$net.y" | head -c "$size" >expected
			for set in $(sets); do
				for jobs in 1 3; do
					echo "$net, $set, -j $jobs, sample $i"
					LOOM_ISA=$set loom-infer -j "$jobs" -m "$net.entity" -r f32 -o y "$i.npy"
					same y expected
				done
			done
		done
	done
}

# ---- the self-test ----

@test "bits: --selftest prints the hash of the manual" {
	run -0 loom-infer --selftest
	[[ $output =~ ^"loom-infer "[0-9.]+" numerics "[0-9]+" sets "[a-z0-9,]+" hash "[0-9a-f]{16}$ ]]
	[[ $output = *"numerics $(loom-infer --selftest | awk '{ print $4 }') sets scalar"* ]]
	hash=${output##* }
	[ "$(grep -c "$hash" "$TOP/man/loom-infer.1")" = 2 ]
	[ "$(grep -oE '\b[0-9a-f]{16}\b' "$TOP/man/loom-infer.1" | sort -u)" = "$hash" ]
}

@test "bits: --selftest with LOOM_ISA is of that set alone, and has the same hash" {
	all=$(loom-infer --selftest)
	for set in $(sets); do
		one=$(LOOM_ISA=$set loom-infer --selftest)
		[ "${one% hash *}" = "${all% sets *} sets $set" ]
		[ "${one##* }" = "${all##* }" ]
	done
	run -2 env LOOM_ISA=abacus loom-infer --selftest
	[[ $output = "loom-infer: LOOM_ISA is abacus, but this machine has only scalar"* ]]
}

@test "bits: --selftest -v tells the hash of each case, --selftest takes no file" {
	run --separate-stderr -0 loom-infer --selftest -v
	[ "${#stderr_lines[@]}" -gt 500 ]
	[[ ${stderr_lines[0]} =~ ^"loom-infer: "[0-9a-f]{16}" sum 0 of 0 terms, "[a-z]+$ ]]
	[ "$output" = "$(loom-infer --selftest)" ]
	run -2 loom-infer --selftest x.npy
	run -2 loom-infer --selftest -m net.entity
}

@test "bits: --selftest takes less than a second" {
	loom-infer --selftest
	begun=$(date +%s%N)
	times=$(bash -c 'loom-infer --selftest >/dev/null; times' | tail -n 1)
	echo "$times, $((($(date +%s%N) - begun) / 1000000)) ms"
	[[ $times = 0m0.* ]]
}
