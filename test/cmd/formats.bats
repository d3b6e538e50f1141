load helper

@test "formats: each cell of the table of loom-formats(7) is so" {
	run -0 "$PYTHON" "$TOP/test/cmd/formats.py" "$TOP/test/cmd/formats.tsv"
	[ "$output" = "$(grep -vc '^#' "$TOP/test/cmd/formats.tsv") cells" ]
}

@test "formats: loom-formats(7) is what contrib/make-formats makes" {
	"$TOP/contrib/make-formats" "$TOP/test/cmd/formats.tsv" >page
	same page "$TOP/man/loom-formats.7"
}
