/* Runs a fuzz target on files, so that each target is built and its corpus replayed in every build. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of exactly the file's size, so that a sanitizer sees the first byte too many. */
static int
replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	uint8_t *data = NULL;
	size_t size;
	int bad = 1;

	if (file == NULL || fstat(fileno(file), &st) != 0)
		goto out;
	size = (size_t)st.st_size;
	data = malloc(size ? size : 1);
	if (data == NULL || fread(data, 1, size, file) != size)
		goto out;
	bad = LLVMFuzzerTestOneInput(data, size) != 0;
out:
	if (bad)
		fprintf(stderr, "%s: cannot be read, or the target did not return 0\n", path);
	if (file != NULL)
		fclose(file);
	free(data);
	return bad;
}

int
main(int argc, char **argv)
{
	int i, bad = 0;

	for (i = 1; i < argc; i++)
		bad += replay(argv[i]);
	printf("%d inputs, %d bad\n", argc - 1, bad);
	return bad != 0 || argc == 1;
}
