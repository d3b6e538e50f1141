/* What jansson alone needs for the JSON on standard input: parse it into its tree, and no more. */
#include <jansson.h>
#include <stdio.h>

int
main(void)
{
	json_error_t err;
	json_t *root = json_loadf(stdin, 0, &err);

	if (root == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return 3;
	}
	json_decref(root);
	return 0;
}
