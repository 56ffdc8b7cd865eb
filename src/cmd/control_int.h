/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/control_int.h - the control thread from the inside: control.c waits and reads the catalog, reload.c
 * takes a new configuration, pause.c lets a database be switched. All of it runs on this one thread.
 */
#ifndef CMD_CONTROL_INT_H
#define CMD_CONTROL_INT_H

#include "cmd/serve_int.h"
#include "core/rng.h"

/* What models are made from: a configuration, and the connection that reads the catalog by it. */
struct serve_source {
    struct serve_conf *conf;
    struct hs_str *roles; /* auth.roles and the anonymous role, each once */
    struct pg_catalog_setup setup;
    struct pg_catalog_reader *reader; /* NULL: not made yet, or paused */
    struct api_setup api;
    bool has_key;          /* api.cursor_key is final */
    struct hs_arena named; /* files of api.queries, as they were read last */
};

enum serve_pause_state { SERVE_RUNNING, SERVE_PAUSING, SERVE_PAUSED, SERVE_RESUMING };

struct serve_pause {
    enum serve_pause_state state;
    hs_us began;
    hs_us until;
    unsigned paused;  /* workers that said so, */
    unsigned refused; /* or that they could not */
    unsigned resumed;
    struct serve_admin *pauser; /* who waits for an answer; NULL: nobody */
    struct serve_admin *resumer;
};

enum { SERVE_TODO_CATALOG = 1, SERVE_TODO_CONF = 2 };

/* What a look at the database said, so that the caller knows what to do next. */
enum serve_outcome {
    SERVE_DONE,
    SERVE_UNDONE, /* refused, and told: what was there stays */
    SERVE_LATER,  /* to be tried again */
    SERVE_FATAL
};

struct control {
    struct serve *serve;
    struct serve_source *source;
    unsigned todo; /* SERVE_TODO_: asked for, not decided yet */
    bool has_model;
    char fault[HS_ERR_WHAT]; /* what the last look complained of, "" = nothing */
    uint64_t retries;
    struct hs_rng rng;
    struct hs_list reloaders; /* struct serve_admin: wait for the end of a reload */
    struct serve_pause pause;
};

/* ---- control.c ---- */
/* Takes its own reference; connects to nothing yet. errors HS_E_CONFIG (too many roles), HS_E_MEMORY */
hs_status serve_source_new(struct serve_conf *conf, struct serve_source **ret_source,
                           struct hs_err *reterr) hs_must_check;
void serve_source_free(struct serve_source *source);
/* Reads the catalog and makes a model of it. errors of pg_catalog_read() and api_model_new() */
hs_status serve_source_read(struct control *c, struct serve_source *source,
                            struct api_model **ret_model, struct hs_err *reterr) hs_must_check;
/*
 * Mails every worker its own reference to the model and, if conf is not NULL, to the configuration with
 * what is made from it. All workers or none.
 */
hs_status serve_publish(struct serve *s, struct api_model *model, struct serve_conf *conf,
                        struct hs_err *reterr) hs_must_check;
/* A model was published: healthy, and ready if it is the first. */
void serve_published(struct control *c);
/* Logs a fault of a look at the database, once per appearance. */
void serve_note_failure(struct control *c, const struct hs_err *err);

/* ---- named.c ---- */
/*
 * Reads the files of api.queries into source->api, and has the reader ask about them.
 *   errors  HS_E_CONFIG (the folder cannot be read, too many files), HS_E_MEMORY
 */
hs_status serve_named_read(struct serve_source *source, struct hs_err *reterr) hs_must_check;
/* Logs which queries cannot be run, and whose answers cannot be kept. */
void serve_named_log(const struct serve_source *source, const struct api_model *model);

/* ---- reload.c ---- */
/* Reads the configuration again. DONE: it was taken, and the catalog with it. */
enum serve_outcome serve_reload(struct control *c);

/* ---- pause.c ---- */
static inline bool serve_is_paused(const struct control *c)
{
    return c->pause.state != SERVE_RUNNING;
}
/* Both answer the request, at once or later. */
void serve_pause(struct control *c, struct serve_admin *admin);
void serve_resume(struct control *c, struct serve_admin *admin);
void serve_pause_note(struct control *c, const struct serve_note *note);
/* A pause that is asked for may have been reached. */
void serve_pause_settle(struct control *c);
/* How long to wait at most before serve_pause_tick(), in ms for poll(2); -1 = for ever. */
int serve_pause_wait(const struct control *c);
void serve_pause_tick(struct control *c);
/* The server ends: pools go on, those who wait are told. */
void serve_pause_stop(struct control *c);
/* {"data":{"state":...}} into the request's body. */
void serve_write_status(const struct control *c, struct serve_admin *admin);

#endif
