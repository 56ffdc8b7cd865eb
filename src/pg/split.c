/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lexer that knows of SQL only what can hide a semicolon, and a walk over its tokens.
 *
 * Whole words are taken at once, so that the E of E'' and the dollar of a$b$c are told apart from those
 * inside a name. Where our view and the server's could differ (text that is no SQL), the caller is safe
 * if it sends each statement by the extended protocol: the server refuses two in one.
 *
 *     sql ── next_token ──▶ word, "name", 'text', symbol ── pg_split_next ──▶ statement ── look ──▶ kind
 */
#include "pg/split.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* a keyword or a name without quotes */
    TOKEN_NAME,   /* "quoted" */
    TOKEN_TEXT,   /* any kind of string */
    TOKEN_SYMBOL, /* one character of anything else */
    TOKEN_FAULT
};

struct token {
    enum token_kind kind;
    struct hs_str text;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The character at `at`, or NUL behind the end: no rule here begins with NUL. */
static char peek(const struct pg_split *s, size_t at)
{
    return at < s->sql.n ? s->sql.p[at] : '\0';
}

static bool fail(struct pg_split *s, const char *what, size_t at)
{
    s->fault = what;
    s->fault_at = at;
    s->at = s->sql.n;
    return false;
}

static void skip_line(struct pg_split *s)
{
    while (s->at < s->sql.n && s->sql.p[s->at] != '\n' && s->sql.p[s->at] != '\r')
        s->at++;
}

static bool skip_block(struct pg_split *s)
{
    size_t from = s->at;
    size_t depth = 0;

    do {
        if (s->at >= s->sql.n)
            return fail(s, "a comment is not closed", from);
        if (peek(s, s->at) == '/' && peek(s, s->at + 1) == '*') {
            depth++;
            s->at += 2;
        } else if (peek(s, s->at) == '*' && peek(s, s->at + 1) == '/') {
            depth--;
            s->at += 2;
        } else {
            s->at++;
        }
    } while (depth);
    return true;
}

static bool skip_blank(struct pg_split *s)
{
    for (;;) {
        if (s->at < s->sql.n && is_space(s->sql.p[s->at]))
            s->at++;
        else if (peek(s, s->at) == '-' && peek(s, s->at + 1) == '-')
            skip_line(s);
        else if (peek(s, s->at) != '/' || peek(s, s->at + 1) != '*')
            return true;
        else if (!skip_block(s))
            return false;
    }
}

/* From the opening quote to behind the closing one; a doubled quote stands for itself. */
static bool skip_quoted(struct pg_split *s, bool has_escapes, const char *what)
{
    size_t from = s->at;
    char quote = s->sql.p[s->at++];

    while (s->at < s->sql.n) {
        char c = s->sql.p[s->at];
        bool is_pair = (has_escapes && c == '\\') || (c == quote && peek(s, s->at + 1) == quote);

        s->at += is_pair ? 2 : 1;
        if (c == quote && !is_pair)
            return true;
    }
    return fail(s, what, from);
}

/* Strings with only a line end (and comments of the -- kind) between them are one: its rules go on. */
static bool continues(struct pg_split *s)
{
    size_t back = s->at;
    bool has_newline = false;

    for (;;) {
        char c = peek(s, s->at);

        if (s->at < s->sql.n && is_space(c)) {
            has_newline = has_newline || c == '\n' || c == '\r';
            s->at++;
        } else if (c == '-' && peek(s, s->at + 1) == '-') {
            skip_line(s);
        } else {
            break;
        }
    }
    if (has_newline && peek(s, s->at) == '\'')
        return true;
    s->at = back;
    return false;
}

static bool skip_text(struct pg_split *s, bool has_escapes)
{
    bool fine;

    do {
        fine = skip_quoted(s, has_escapes, "a string is not closed");
    } while (fine && has_escapes && continues(s));
    return fine;
}

/* At "$": the length of $tag$ if one opens here, else 0. */
static size_t dollar_tag(const struct pg_split *s)
{
    size_t at = s->at + 1;

    if (is_word_start(peek(s, at))) {
        while (is_word_start(peek(s, at)) || is_digit(peek(s, at)))
            at++;
    }
    return peek(s, at) == '$' ? at + 1 - s->at : 0;
}

static bool skip_dollar(struct pg_split *s, size_t tag)
{
    const char *begin = s->sql.p + s->at;
    const char *body = begin + tag;
    const char *end = memmem(body, s->sql.n - s->at - tag, begin, tag);

    if (!end)
        return fail(s, "a dollar-quoted string is not closed", s->at);
    s->at = (size_t)(end - s->sql.p) + tag;
    return true;
}

static enum token_kind skip_word(struct pg_split *s)
{
    size_t from = s->at;
    bool is_e;

    while (is_word_start(peek(s, s->at)) || is_digit(peek(s, s->at)) || peek(s, s->at) == '$')
        s->at++;
    is_e = s->at - from == 1 && (s->sql.p[from] | 0x20) == 'e';
    if (!is_e || peek(s, s->at) != '\'')
        return TOKEN_WORD;
    return skip_text(s, true) ? TOKEN_TEXT : TOKEN_FAULT;
}

static struct token next_token(struct pg_split *s)
{
    struct token t = {.kind = TOKEN_FAULT};
    size_t from, tag = 0;
    char c;

    if (!skip_blank(s))
        return t;
    from = s->at;
    c = peek(s, from);
    if (c == '$')
        tag = dollar_tag(s);
    if (from >= s->sql.n) {
        t.kind = TOKEN_END;
    } else if (is_word_start(c)) {
        t.kind = skip_word(s);
    } else if (c == '\'') {
        t.kind = skip_text(s, false) ? TOKEN_TEXT : TOKEN_FAULT;
    } else if (c == '"') {
        t.kind = skip_quoted(s, false, "a quoted name is not closed") ? TOKEN_NAME : TOKEN_FAULT;
    } else if (tag) {
        t.kind = skip_dollar(s, tag) ? TOKEN_TEXT : TOKEN_FAULT;
    } else {
        t.kind = TOKEN_SYMBOL;
        s->at++;
    }
    t.text = hs_str_sub(s->sql, from, s->at);
    return t;
}

static bool is_word(struct token t, const char *word)
{
    return t.kind == TOKEN_WORD && hs_str_ieq(t.text, hs_str(word));
}

static bool is_symbol(struct token t, char c)
{
    return t.kind == TOKEN_SYMBOL && t.text.p && t.text.p[0] == c;
}

/* Skips the next token if it is that word. */
static bool take_word(struct pg_split *s, const char *word)
{
    size_t back = s->at;

    if (is_word(next_token(s), word))
        return true;
    s->at = back;
    return false;
}

/* ---- what a statement is ---- */

/* "BEGIN ATOMIC" means a body only there; elsewhere it could be anything. */
static bool is_routine(struct hs_str text)
{
    struct pg_split s;

    pg_split_start(&s, text);
    if (!take_word(&s, "create"))
        return false;
    if (take_word(&s, "or") && !take_word(&s, "replace"))
        return false;
    return take_word(&s, "function") || take_word(&s, "procedure");
}

/* name [. name]...: the slice from its first to its last part; empty if there is none. */
static struct hs_str take_name(struct pg_split *s)
{
    struct token t = next_token(s);
    const char *from = t.text.p;
    struct hs_str name = HS_STR_NULL;

    while (t.kind == TOKEN_WORD || t.kind == TOKEN_NAME) {
        size_t back = s->at;

        name = hs_strn(from, (size_t)(t.text.p + t.text.n - from));
        if (!is_symbol(next_token(s), '.')) {
            s->at = back;
            break;
        }
        t = next_token(s);
    }
    return name;
}

/* Behind CREATE: is it [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] [name] ON [ONLY] table? */
static bool look_index(struct pg_split *s, struct pg_statement *st)
{
    (void)take_word(s, "unique");
    if (!take_word(s, "index") || !take_word(s, "concurrently"))
        return false;
    if (take_word(s, "if"))
        (void)(take_word(s, "not") && take_word(s, "exists"));
    if (!take_word(s, "on")) {
        st->index = take_name(s);
        (void)take_word(s, "on");
    }
    (void)take_word(s, "only");
    st->table = take_name(s);
    return true;
}

static bool has_concurrently(struct pg_split *s)
{
    struct token t;

    do {
        t = next_token(s);
        if (is_word(t, "concurrently"))
            return true;
    } while (t.kind != TOKEN_END && t.kind != TOKEN_FAULT);
    return false;
}

/* ROLLBACK TO SAVEPOINT stays inside the transaction. */
static bool is_transaction(struct pg_split *s)
{
    static const char *const words[] = {"begin", "start", "commit", "end", "abort"};

    for (size_t i = 0; i < HS_LEN(words); i++) {
        if (take_word(s, words[i]))
            return true;
    }
    if (take_word(s, "prepare"))
        return take_word(s, "transaction");
    if (!take_word(s, "rollback"))
        return false;
    (void)(take_word(s, "work") || take_word(s, "transaction"));
    return !take_word(s, "to");
}

static void look(struct pg_statement *st)
{
    struct pg_split s;

    pg_split_start(&s, st->text);
    if (is_transaction(&s)) {
        st->kind = PG_STATEMENT_TRANSACTION;
        return;
    }
    pg_split_start(&s, st->text);
    if (take_word(&s, "create")) {
        if (look_index(&s, st))
            st->kind = PG_STATEMENT_INDEX;
    } else if (take_word(&s, "drop") || take_word(&s, "reindex") || take_word(&s, "alter")) {
        if (has_concurrently(&s))
            st->kind = PG_STATEMENT_CONCURRENT;
    }
}

/* ---- where it ends ---- */

/* What a semicolon may be inside of. */
struct nesting {
    size_t parens;
    size_t blocks; /* BEGIN ATOMIC and CASE, each up to its END */
};

static void nest(struct pg_split *s, struct nesting *in, struct token t, size_t from)
{
    if (is_symbol(t, '(')) {
        in->parens++;
    } else if (is_symbol(t, ')')) {
        in->parens -= in->parens > 0;
    } else if (in->parens == 0 && in->blocks) {
        in->blocks += is_word(t, "case");
        in->blocks -= is_word(t, "end");
    } else if (in->parens == 0 && is_word(t, "begin")) {
        in->blocks = is_routine(hs_str_sub(s->sql, from, s->at)) && take_word(s, "atomic");
    }
}

void pg_split_start(struct pg_split *split, struct hs_str sql)
{
    *split = (struct pg_split){.sql = sql};
}

bool pg_split_next(struct pg_split *split, struct pg_statement *ret_st)
{
    struct nesting in = {0, 0};
    struct token t;
    size_t from, end;

    do {
        t = next_token(split);
    } while (is_symbol(t, ';'));
    if (t.kind == TOKEN_END || t.kind == TOKEN_FAULT)
        return false;
    from = (size_t)(t.text.p - split->sql.p);
    do {
        nest(split, &in, t, from);
        end = split->at;
        t = next_token(split);
    } while (t.kind != TOKEN_END && t.kind != TOKEN_FAULT &&
             (in.parens || in.blocks || !is_symbol(t, ';')));
    if (t.kind == TOKEN_FAULT)
        return false;
    *ret_st = (struct pg_statement){.text = hs_str_sub(split->sql, from, end),
                                    .from = from,
                                    .end = split->at,
                                    .is_closed = t.kind == TOKEN_SYMBOL};
    look(ret_st);
    return true;
}
