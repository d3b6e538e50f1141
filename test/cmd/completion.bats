load helper

# complete PROGRAM WORD...: what bash, told by the program, offers for the last of the words.
complete_() {
	bash -euc '
		eval "$("$1" --completion bash)"
		compopt() { :; }    # only works while bash completes
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		"_${1//-/_}"
		printf "%s\n" "${COMPREPLY[@]}" | sort' bash "$@"
}

programs="loom-stream loom-infer loom-compare loom-export loom-import entity-dump loom-list"

@test "completion: bash offers every option that --help names" {
	local program
	for program in $programs; do
		"$program" --help | sed -nE 's/^ {2,6}(-[A-Za-z0-9], )?(--[a-z0-9-]+).*/\2/p' | sort >wanted
		complete_ "$program" -- | grep -- -- >found
		diff wanted found
		"$program" --completion bash >script
		bash -n script
	done
}

@test "completion: bash offers words, files or nothing behind an option" {
	touch 'file one' other.npy
	[ "$(complete_ loom-compare --scale '')" = $'max\nnone' ]
	[ "$(complete_ loom-compare --scale = n)" = none ]
	[ "$(complete_ loom-compare --scale =)" = $'max\nnone' ]
	[ "$(complete_ loom-compare --map f)" = 'file one' ]
	[ "$(complete_ loom-compare --atol '')" = '' ]
	[ "$(complete_ loom-compare o)" = other.npy ]
	[ "$(complete_ loom-infer -m o)" = other.npy ]
	[ "$(complete_ loom-list --comp)" = --completion ]
}

@test "completion: zsh is told the same options, each with its help" {
	local program
	for program in $programs; do
		"$program" --completion=zsh >"_$program"
		zsh -n "_$program"
		[ "$(head -n 1 "_$program")" = "#compdef $program" ]
		# What reaches zsh's own function once the quotes are gone.
		zsh -fc '_arguments() { shift; print -rl -- "$@" }; . ./_$1' zsh "$program" |
			sed -nE 's/^(\(.*\)|\*)?(--[a-z-]+).*\[.+\].*/\2/p' | sort >found
		"$program" --help | sed -nE 's/^ {2,6}(-[A-Za-z0-9], )?(--[a-z0-9-]+).*/\2/p' | sort >wanted
		diff wanted found
	done
	zsh -fc '_arguments() { shift; print -rl -- "$@" }; . ./_loom-compare' >specs
	grep -qxF -- "(--scale)--scale=[what atol is multiplied by\\: 1, or the greatest |b| (at least 1; default)]:none|max:(none max)" specs
	grep -qxF -- "*--permute=[axes of A's tensors in B's order, as in 'conv*=0,3,1,2'; may be repeated]:GLOB=AXES:" specs
	grep -qxF -- '(-j --jobs)--jobs=[threads to use (default 1)]:N:' specs
}

@test "completion: another shell is refused" {
	run --separate-stderr -2 loom-list --completion fish
	[ "$stderr" = "loom-list: --completion 'fish': expected bash or zsh
Try 'loom-list --help'." ]
}
