/* list: the tables of operations, formats and dtypes, for people and for scripts. */
#include "format/foreign.h"
#include "format/format.h"

#include <inttypes.h>
#include <string.h>

static void
separate(FILE *out, size_t i)
{
	(void)fputs(i > 0 ? "," : "", out);
}

/* "1->1", "1+->1" where there is no greatest number. */
static void
counts(char *dst, size_t size, unsigned least, unsigned most)
{
	if (least == most)
		(void)snprintf(dst, size, "%u", least);
	else if (most == LM_MANY)
		(void)snprintf(dst, size, "%u+", least);
	else
		(void)snprintf(dst, size, "%u-%u", least, most);
}

static void
layer_text(FILE *out, const struct lm_layer_ops *op)
{
	size_t i, params = lm_layer_params(op), slots = lm_layer_slots(op);
	char in[24], makes[24], both[52];

	counts(in, sizeof(in), op->in_least, op->in_most);
	counts(makes, sizeof(makes), op->out_least, op->out_most);
	(void)snprintf(both, sizeof(both), "%s->%s", in, makes);
	(void)fprintf(out, "%-11s %-6s ", op->name, both);
	for (i = 0; i < params; i++) {
		separate(out, i);
		(void)fputs(op->params[i].key, out);
	}
	(void)fputs(params > 0 ? " " : "- ", out);
	for (i = 0; i < slots; i++) {
		separate(out, i);
		(void)fputs(op->slots[i].name, out);
	}
	(void)fprintf(out, "%s  %s\n", slots > 0 ? "" : "-", op->about);
}

/* Bounds of the number, or of each entry of the list. */
static void
param_bounds(FILE *out, const struct lm_param *p)
{
	(void)fprintf(out, ",\"least\":%" PRId64 ",\"most\":%" PRId64, p->least, p->most);
	if (p->kind != LM_IS_INTS && p->kind != LM_IS_DIMS)
		return;
	if (p->count > 0)
		(void)fprintf(out, ",\"count\":%u", p->count);
	else
		(void)fputs(",\"count\":null", out);
}

static void
param_names(FILE *out, const struct lm_param *p)
{
	size_t i;

	(void)fputs(",\"names\":[", out);
	for (i = 0; p->names[i] != NULL; i++) {
		separate(out, i);
		(void)fprintf(out, "\"%s\"", p->names[i]);
	}
	(void)fputs("]", out);
}

static void
param_json(FILE *out, const struct lm_param *p)
{
	static const char *const kinds[] = {
		[LM_IS_SIZE] = "size",
		[LM_IS_INT] = "int",
		[LM_IS_REAL] = "real",
		[LM_IS_MAYBE] = "real",
		[LM_IS_FLAG] = "bool",
		[LM_IS_ENUM] = "enum",
		[LM_IS_INTS] = "ints",
		[LM_IS_DIMS] = "dims",
	};

	(void)fprintf(out, "{\"name\":\"%s\",\"kind\":\"%s\",\"null\":%s", p->key, kinds[p->kind],
	    p->kind == LM_IS_MAYBE ? "true" : "false");
	if (p->kind == LM_IS_ENUM)
		param_names(out, p);
	else if (p->kind != LM_IS_REAL && p->kind != LM_IS_MAYBE && p->kind != LM_IS_FLAG)
		param_bounds(out, p);
	(void)fputs("}", out);
}

static void
slot_json(FILE *out, const struct lm_layer_ops *op, const struct lm_slot *s)
{
	size_t i;

	(void)fprintf(out, "{\"name\":\"%s\",\"axes\":", s->name);
	(void)fputs(s->whole > 0 ? "null" : "[", out);
	for (i = 0; s->whole == 0 && s->axes[i] != '\0'; i++) {
		separate(out, i);
		(void)fprintf(out, "\"%c\"", s->axes[i]);
	}
	(void)fputs(s->whole > 0 ? ",\"when\":" : "],\"when\":", out);
	if (s->when > 0)
		(void)fprintf(out, "{\"param\":\"%s\",\"least\":%d}}", op->params[s->when - 1].key,
		    s->least > 0 ? s->least : 1);
	else
		(void)fputs("null}", out);
}

static void
layer_json(FILE *out, const struct lm_layer_ops *op, size_t row)
{
	size_t i;

	separate(out, row);
	(void)fprintf(out,
	    "{\"name\":\"%s\",\"inputs\":[%u,%u],\"outputs\":[%u,%u],\"about\":\"%s\",\"params\":[",
	    op->name, op->in_least, op->in_most, op->out_least, op->out_most, op->about);
	for (i = 0; i < lm_layer_params(op); i++) {
		separate(out, i);
		param_json(out, &op->params[i]);
	}
	(void)fputs("],\"slots\":[", out);
	for (i = 0; i < lm_layer_slots(op); i++) {
		separate(out, i);
		slot_json(out, op, &op->slots[i]);
	}
	(void)fputs("]}", out);
}

static int
layer_row(FILE *out, size_t i, int json)
{
	const struct lm_layer_ops *op = lm_layer_at(i);

	if (op == NULL)
		return 0;
	if (json)
		layer_json(out, op, i);
	else
		layer_text(out, op);
	return 1;
}

static const char *
holds(const struct lm_format_ops *f)
{
	if ((f->holds & LM_HOLDS_MODEL) == 0)
		return "tensors";
	return f->holds & LM_HOLDS_TENSORS ? "either" : "model";
}

static void
format_text(FILE *out, const struct lm_format_ops *f)
{
	(void)fprintf(out, "%-12s %-8s %-4s %-5s %-6s  %s\n", f->name, holds(f),
	    f->can & LM_READ ? "read" : "", f->can & LM_WRITE ? "write" : "",
	    f->can & LM_EXPORT ? "export" : "", f->about);
}

static void
format_json(FILE *out, const struct lm_format_ops *f)
{
	(void)fprintf(out,
	    "{\"name\":\"%s\",\"holds\":\"%s\",\"read\":%s,\"write\":%s,\"export\":%s,"
	    "\"recognised\":true,\"about\":\"%s\"}",
	    f->name, holds(f), f->can & LM_READ ? "true" : "false",
	    f->can & LM_WRITE ? "true" : "false", f->can & LM_EXPORT ? "true" : "false", f->about);
}

/* Several rows tell of one kind: is this the first of them? */
static int
first_of_name(size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (strcmp(lm_foreign_at(k)->name, lm_foreign_at(i)->name) == 0)
			return 0;
	return 1;
}

/* Files of other engines that are refused by name. */
static int
foreign_row(FILE *out, size_t row, size_t i, int json)
{
	const struct lm_foreign *f = lm_foreign_at(i);

	if (f == NULL)
		return 0;
	if (!first_of_name(i))
		return 1;
	if (json) {
		separate(out, row);
		(void)fprintf(out,
		    "{\"name\":\"%s\",\"holds\":\"model\",\"read\":false,\"write\":false,"
		    "\"export\":false,\"recognised\":true,\"about\":\"%s\"}",
		    f->name, f->about);
	} else
		(void)fprintf(out, "%-12s %-8s %-17s  %s\n", f->name, "model", "recognised",
		    f->about);
	return 1;
}

static int
format_row(FILE *out, size_t i, int json)
{
	const struct lm_format_ops *f = lm_format_at(i);
	size_t n;

	if (f != NULL) {
		if (json)
			separate(out, i);
		(json ? format_json : format_text)(out, f);
		return 1;
	}
	for (n = 0; lm_format_at(n) != NULL; n++)
		continue;
	return foreign_row(out, i, i - n, json);
}

static int
dtype_row(FILE *out, size_t i, int json)
{
	const struct lm_dtype *d = lm_dtype_at(i);

	if (d == NULL)
		return 0;
	if (json)
		separate(out, i);
	if (json)
		(void)fprintf(out, "{\"name\":\"%s\",\"bits\":%u,\"loom\":%d}", d->name, d->bits,
		    d->loom);
	else
		(void)fprintf(out, "%-10s %2u\n", d->name, d->bits);
	return 1;
}

static const struct {
	const char *name;
	int (*row)(FILE *, size_t i, int json); /* 0: there is no row i */
} tables[] = {
	{ "layers", layer_row },
	{ "formats", format_row },
	{ "dtypes", dtype_row },
};

int
loom_list(FILE *out, const char *what, int json, struct loom_error *err)
{
	size_t t, i;

	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		if (strcmp(tables[t].name, what) != 0)
			continue;
		(void)fputs(json ? "[" : "", out);
		for (i = 0; tables[t].row(out, i, json); i++)
			;
		(void)fputs(json ? "]\n" : "", out);
		return 0;
	}
	return lm_fail(err, LOOM_EARG, "%s: no such table: layers, formats and dtypes are there",
	    what);
}
