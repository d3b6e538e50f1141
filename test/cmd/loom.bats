load helper

E=$FIXTURES/entity

# What a case of fixtures/entity computes: each sample alone where Loom's own batches are not that.
expected() {
	if [ -f "$1/output-each.npy" ]; then echo "$1/output-each.npy"; else echo "$1/output.npy"; fi
}

@test "loom: every file that real Loom ran gives its outputs within 1e-6" {
	count=0
	for file in "$E"/*/input.npy; do
		case=${file%/*}
		# Two whose container Loom itself answers with zeros.
		case $case in */parallel-filter-float32 | */text-escapes-float32) continue ;; esac
		# NaN and infinities are values of these types, and of their weights.
		nan=
		case $case in *-fp4 | *-fp8e5m2) nan=--equal-nan ;; esac
		loom-infer -m "$case/model.entity" "$file" >y.npy
		loom-compare --atol 1e-6 --allow-vacuous $nan y.npy "$(expected "$case")" >out || { echo "$case"; cat out; return 1; }
		count=$((count + 1))
	done
	[ "$count" = 247 ]
}
