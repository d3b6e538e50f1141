// What simdjson alone needs for the JSON on standard input: parse it into its tree, and no more.
#include <cstdio>
#include <simdjson.h>
#include <unistd.h>
#include <vector>

int
main(int argc, char **)
{
	if (argc > 1) {
		printf("%s\n", simdjson::get_active_implementation()->name().c_str());
		return 0;
	}
	size_t size = 0, room = 1 << 20;
	std::vector<char> bytes(room + simdjson::SIMDJSON_PADDING);
	for (ssize_t n; (n = read(0, bytes.data() + size, room - size)) > 0;) {
		size += static_cast<size_t>(n);
		if (size == room)
			bytes.resize((room *= 2) + simdjson::SIMDJSON_PADDING);
	}
	simdjson::dom::parser parser;
	simdjson::dom::element root;
	auto error = parser.parse(bytes.data(), size, false).get(root);
	if (error) {
		fprintf(stderr, "%s\n", simdjson::error_message(error));
		return 3;
	}
	return 0;
}
