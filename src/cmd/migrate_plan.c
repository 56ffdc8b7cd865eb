/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files beside records: two lists in the order of their versions, merged into one. Decides nothing but
 * what each pair is called; what is done about it is the caller's. No database is touched.
 */
#include <stdlib.h>

#include "cmd/migrate.h"

static const char *const names[] = {
    [MIGRATE_APPLIED] = "applied",
    [MIGRATE_PENDING] = "pending",
    [MIGRATE_UNFINISHED] = "unfinished",
    [MIGRATE_CHANGED] = "changed",
    [MIGRATE_OUT_OF_ORDER] = "out of order",
    [MIGRATE_MISSING] = "missing",
    [MIGRATE_AHEAD] = "ahead",
};

const char *migrate_state_name(enum migrate_state state)
{
    return names[state];
}

/* The checksum of an unfinished one is that of the statements that have run: they must be the same still,
 * what follows may have been corrected. */
static hs_status judge_unfinished(struct migrate_step *step, struct hs_arena *arena,
                                  struct hs_err *reterr)
{
    struct migrate_file *file = step->file;
    uint64_t done = step->record->statements_done;
    char checksum[MIGRATE_CHECKSUM];
    hs_status status = migrate_split(file, arena, reterr);

    if (status)
        return status;
    step->state = MIGRATE_CHANGED;
    if (file->is_single || done > file->n)
        return HS_OK;
    status = migrate_checksum(hs_str_sub(file->text, 0, done ? file->statements[done - 1].end : 0),
                              checksum, reterr);
    if (!status && strcmp(checksum, step->record->checksum) == 0)
        step->state = MIGRATE_UNFINISHED;
    return status;
}

static hs_status judge(struct migrate_step *step, uint64_t last_file, uint64_t last_record,
                       struct hs_arena *arena, struct hs_err *reterr)
{
    if (!step->record)
        step->state = step->version < last_record ? MIGRATE_OUT_OF_ORDER : MIGRATE_PENDING;
    else if (!step->file)
        step->state = step->version > last_file ? MIGRATE_AHEAD : MIGRATE_MISSING;
    else if (!step->record->is_applied)
        return judge_unfinished(step, arena, reterr);
    else
        step->state = strcmp(step->file->checksum, step->record->checksum) == 0 ? MIGRATE_APPLIED
                                                                                : MIGRATE_CHANGED;
    return HS_OK;
}

/* The next pair of equal versions, or the smaller one alone. */
static struct migrate_step take_pair(struct migrate_files *files, size_t *file,
                                     const struct migrate_records *records, size_t *record)
{
    struct migrate_file *f = *file < files->n ? &files->v[*file] : NULL;
    const struct migrate_record *r = *record < records->n ? &records->v[*record] : NULL;
    struct migrate_step step = {.file = f, .record = r};

    if (f && r && f->version != r->version) {
        step.file = f->version < r->version ? f : NULL;
        step.record = f->version < r->version ? NULL : r;
    }
    step.version = step.file ? step.file->version : step.record->version;
    *file += step.file != NULL;
    *record += step.record != NULL;
    return step;
}

hs_status migrate_plan(struct migrate_files *files, const struct migrate_records *records,
                       struct hs_arena *arena, struct migrate_plan *ret_plan, struct hs_err *reterr)
{
    uint64_t last_file = files->n ? files->v[files->n - 1].version : 0;
    uint64_t last_record = records->n ? records->v[records->n - 1].version : 0;
    size_t file = 0, record = 0;

    *ret_plan = (struct migrate_plan){.n = 0};
    ret_plan->v = HS_NEW_ARRAY(arena, files->n + records->n + 1, struct migrate_step);
    if (!ret_plan->v)
        return hs_fail_memory(reterr);
    while (file < files->n || record < records->n) {
        struct migrate_step *step = &ret_plan->v[ret_plan->n++];
        hs_status status;

        *step = take_pair(files, &file, records, &record);
        status = judge(step, last_file, last_record, arena, reterr);
        if (status)
            return status;
        ret_plan->count[step->state]++;
    }
    return HS_OK;
}

static struct hs_str complain_changed(const struct migrate_step *step, struct hs_arena *arena)
{
    const struct migrate_record *record = step->record;

    if (record->is_applied)
        return hs_arena_printf(arena,
                               "%s was changed after it was applied: its checksum is %.12s..., it "
                               "was %.12s...",
                               step->file->path, step->file->checksum, record->checksum);
    return hs_arena_printf(arena,
                           "%s was changed where it has run already, in its first %llu statements",
                           step->file->path, (unsigned long long)record->statements_done);
}

struct hs_str migrate_complaint(const struct migrate_step *step, struct hs_arena *arena)
{
    unsigned long long version = step->version;

    switch (step->state) {
    case MIGRATE_APPLIED:
        break;
    case MIGRATE_PENDING:
        return hs_arena_printf(arena, "%s is not applied yet", step->file->path);
    case MIGRATE_UNFINISHED:
        return hs_arena_printf(arena, "%s is unfinished: %llu statements have run",
                               step->file->path, (unsigned long long)step->record->statements_done);
    case MIGRATE_OUT_OF_ORDER:
        return hs_arena_printf(arena, "%s is not applied, but a later one is", step->file->path);
    case MIGRATE_CHANGED:
        return complain_changed(step, arena);
    case MIGRATE_MISSING:
        return hs_arena_printf(arena, "version %llu (%s) was applied, and its file is gone",
                               version, step->record->name);
    case MIGRATE_AHEAD:
        return hs_arena_printf(arena,
                               "version %llu (%s) was applied, and is later than every file here",
                               version, step->record->name);
    }
    return HS_STR("");
}
