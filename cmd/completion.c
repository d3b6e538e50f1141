/* completion: scripts by which bash and zsh complete a program's options, from its table of them. */
#include <ctype.h>
#include <string.h>

#include "cmd.h"

/* What the value of an option may be, told by what --help calls it. */
enum kind { NOTHING, ANYTHING, WORDS, FILES };

static enum kind
kind_of(const struct cmd_opt *o)
{
	static const char *const files[] = { "FILE", "MODEL", "TAPS", "DIR", NULL };
	int i;

	if (o->arg == NULL || o->arg[0] == '=')
		return NOTHING;
	for (i = 0; files[i] != NULL; i++)
		if (strncmp(o->arg, files[i], strlen(files[i])) == 0)
			return FILES;
	return islower((unsigned char)o->arg[0]) && strchr(o->arg, '|') != NULL ? WORDS : ANYTHING;
}

/* "none|max" as "none max" */
static void
put_words(const char *arg)
{
	for (; *arg != '\0'; arg++)
		putchar(*arg == '|' ? ' ' : *arg);
}

/* _loom_compare */
static void
put_function(const struct cmd *cmd)
{
	const char *s;

	putchar('_');
	for (s = cmd->name; *s != '\0'; s++)
		putchar(isalnum((unsigned char)*s) ? *s : '_');
}

/* ---- bash ---- */

static void
put_forms(const struct cmd_opt *o, const char *between)
{
	if (o->letter < 256)
		printf("-%c%s", o->letter, between);
	printf("--%s", o->name);
}

/* How the word behind an option is completed. */
static void
put_case(const struct cmd_opt *o)
{
	enum kind kind = kind_of(o);

	if (kind == NOTHING)
		return;
	printf("\t");
	put_forms(o, " | ");
	printf(")\n");
	if (kind == WORDS) {
		printf("\t\tmapfile -t COMPREPLY < <(compgen -W '");
		put_words(o->arg);
		printf("' -- \"$word\")\n");
	} else if (kind == FILES)
		printf("\t\tcompopt -o filenames\n"
		       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n");
	printf("\t\treturn\n\t\t;;\n");
}

static void
put_bash(const struct cmd *cmd, const struct cmd_opt *const tables[])
{
	const struct cmd_opt *o;
	int i;

	put_function(cmd);
	printf("() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\t[ \"$word\" != = ] || word=\n"
	       "\t[ \"$before\" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
	       "\tCOMPREPLY=()\n"
	       "\tcase $before in\n");
	for (i = 0; tables[i] != NULL; i++)
		for (o = tables[i]; o->name != NULL; o++)
			put_case(o);
	printf("\tesac\n"
	       "\tif [ \"${word:0:1}\" = - ]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W '");
	for (i = 0; tables[i] != NULL; i++)
		for (o = tables[i]; o->name != NULL; o++) {
			put_forms(o, " ");
			putchar(' ');
		}
	printf("' -- \"$word\")\n"
	       "\telse\n"
	       "\t\tcompopt -o filenames\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	       "\tfi\n"
	       "}\n"
	       "complete -F ");
	put_function(cmd);
	printf(" %s\n", cmd->name);
}

/* ---- zsh ---- */

/* Within single quotes, and within the brackets and colons of _arguments. */
static void
put_quoted(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			printf("'\\'");
		else if (strchr("[]:\\", *s) != NULL)
			putchar('\\');
		putchar(*s == '\n' ? ' ' : *s);
	}
}

static void
put_argument(const struct cmd_opt *o)
{
	enum kind kind = kind_of(o);

	if (strstr(o->help, "may be repeated") != NULL)
		printf(" \\\n\t\t'*'");
	else {
		printf(" \\\n\t\t'(");
		put_forms(o, " ");
		printf(")'");
	}
	if (o->letter < 256)
		printf("{-%c%s,--%s%s}", o->letter, kind == NOTHING ? "" : "+", o->name,
		    kind == NOTHING ? "" : "=");
	else
		printf("--%s%s", o->name, kind == NOTHING ? "" : "=");
	printf("'[");
	put_quoted(o->help);
	printf("]");
	if (kind != NOTHING) {
		printf(":");
		put_quoted(o->arg);
		printf(":");
	}
	if (kind == FILES)
		printf("_files");
	else if (kind == WORDS) {
		printf("(");
		put_words(o->arg);
		printf(")");
	}
	printf("'");
}

static void
put_zsh(const struct cmd *cmd, const struct cmd_opt *const tables[])
{
	const struct cmd_opt *o;
	int i;

	printf("#compdef %s\n\n_arguments -s", cmd->name);
	for (i = 0; tables[i] != NULL; i++)
		for (o = tables[i]; o->name != NULL; o++)
			put_argument(o);
	printf(" \\\n\t\t'*:file:_files'\n");
}

int
cmd_completion(struct cmd *cmd, const char *shell, const struct cmd_opt *common)
{
	const struct cmd_opt *const tables[] = { cmd->options, common, NULL };

	if (strcmp(shell, "bash") == 0)
		put_bash(cmd, tables);
	else if (strcmp(shell, "zsh") == 0)
		put_zsh(cmd, tables);
	else
		return cmd_misuse(cmd, "--completion '%s': expected bash or zsh", shell);
	return EXIT_YES;
}
