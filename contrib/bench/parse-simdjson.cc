// What simdjson alone needs for the JSON on standard input, a file: parse it into its tree, and no more.  With an
// argument it says which of its kernels it would take.
#include <cstdio>
#include <simdjson.h>

int
main(int argc, char **)
{
	if (argc > 1) {
		puts(simdjson::get_active_implementation()->name().c_str());
		return 0;
	}
	simdjson::dom::parser parser;
	simdjson::dom::element root;
	auto error = parser.load("/dev/stdin").get(root);

	if (error) {
		fprintf(stderr, "%s\n", simdjson::error_message(error));
		return 3;
	}
	return 0;
}
