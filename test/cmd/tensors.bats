# What entity-dump shows of files of tensors, and of networks in them.
load helper

E=$FIXTURES/entity

@test "dump: a file of tensors" {
	printf '\x93NUMPY\1\0\x46\0%-69s\n' "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }" >x.npy
	printf '\xff\xff\xff\xff\xff\xff\xff\x7f\1\0\0\0\0\0\0\x80' >>x.npy
	run -0 entity-dump x.npy
	[ "$output" = "format npy
tensor array int64 [2] min=-9223372036854775807 max=9223372036854775807 mean=0 sha256=$(
		tail -c 16 x.npy | sha256sum | cut -c 1-16)" ]
	cat x.npy | entity-dump >out
	[ "$(cat out)" = "$output" ]
}

@test "dump: tensors that say what network they are of are shown as that network" {
	local format
	for format in safetensors npz; do
		loom-export -f $format -o net.$format "$E/bridge.entity" 2>err
		[ "$(cat err)" = "loom-export: net.$format: reads back identically here" ]
		# What stands in the checkpoint's header alone is not there.
		entity-dump "$E/bridge.entity" | sed "1s/.*/format $format/
			/^planet /d; /^model /d; s/ cell=[0-9]*//; s/ source=.*//" >expected
		[ "$(grep -c '^node ' expected)" = 7 ]
		entity-dump net.$format >out
		same out expected
		entity-dump <net.$format >out
		same out expected
		cat net.$format | entity-dump >out
		same out expected
		run -0 entity-dump --check net.$format
		[ "$output" = "format $format
sound" ]
	done
	# Of no network, so long as it does not say of which.
	LC_ALL=C sed 's/loom\.topology/room.topology/' net.safetensors >no.safetensors
	entity-dump no.safetensors | cut -d ' ' -f 1,2 >out
	printf '%s\n' 'format safetensors' 'tensor c.value' 'tensor net.0.bias' 'tensor net.0.weight' \
		'tensor half.bias' 'tensor half.weight' >expected
	same out expected
	LC_ALL=C sed 's/gelu/golu/' net.safetensors >bad.safetensors
	run -3 --separate-stderr entity-dump bad.safetensors
	[ "$stderr" = 'entity-dump: bad.safetensors: node g: unknown operation "golu" (`loom-list layers` has those that are known)' ]
	[ "$output" = "" ]
}

@test "dump: NaN and infinities in a file of tensors are found" {
	printf '\x93NUMPY\1\0\x46\0%-69s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }" >x.npy
	printf '\0\0\xc0\x7f\0\0\x80\x7f\0\0\x80\xff\0\0\x80\x3f' >>x.npy
	run -1 entity-dump --check x.npy
	[ "$output" = "format npy
finding: array holds 1 NaN and 2 infinite values of 4
not sound: 1 finding" ]
	run -0 entity-dump x.npy
	[[ ${lines[1]} = "tensor array float32 [4] min=1 max=1 mean=1 nan=1 inf=2 sha256="* ]]
}
