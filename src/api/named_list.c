/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named queries told of: to clients who list them, and to the operator.
 *
 * A caller sees those that he may ask, and of a broken one that it is broken: its address is there, and answers.
 */
#include "api/named_int.h"
#include "core/json.h"

static void add_text(struct hs_buf *out, const char *name, struct hs_str value)
{
    hs_json_text(out, hs_str(name));
    hs_buf_add_char(out, ':');
    hs_json_text(out, value);
}

static void write_params(const struct api_named *named, struct hs_buf *out)
{
    hs_buf_add_lit(out, ",\"parameters\":[");
    for (size_t i = 0; i < named->n_params; i++) {
        const struct api_named_param *param = &named->params[i];

        hs_buf_add(out, i ? HS_STR(",{") : HS_STR("{"));
        add_text(out, "name", param->name);
        hs_buf_add_char(out, ',');
        add_text(out, "type", param->type->name);
        hs_buf_add(out, param->has_default ? HS_STR(",\"required\":false,\"default\":")
                                           : HS_STR(",\"required\":true"));
        if (param->value)
            hs_json_text(out, hs_str(param->value));
        else if (param->has_default)
            hs_buf_add_lit(out, "null");
        if (param->description.n) {
            hs_buf_add_char(out, ',');
            add_text(out, "description", param->description);
        }
        hs_buf_add_char(out, '}');
    }
    hs_buf_add_char(out, ']');
}

static void write_columns(const struct api_named *named, struct hs_buf *out)
{
    hs_buf_add_lit(out, ",\"columns\":[");
    for (size_t i = 0; i < named->n_columns; i++) {
        hs_buf_add(out, i ? HS_STR(",{") : HS_STR("{"));
        add_text(out, "name", named->columns[i].name);
        hs_buf_add_char(out, ',');
        add_text(out, "type", named->columns[i].type->name);
        hs_buf_add_char(out, '}');
    }
    hs_buf_add_char(out, ']');
}

void api_named_write(const struct api_model *model, uint64_t reader, struct hs_buf *out)
{
    bool is_first = true;

    hs_buf_add_lit(out, ",\"queries\":[");
    for (size_t i = 0; i < model->n_named; i++) {
        const struct api_named *named = &model->named[i];

        if (!api_named_is_for(named, reader))
            continue;
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        is_first = false;
        add_text(out, "name", named->name);
        hs_buf_add_lit(out, ",\"path\":\"");
        hs_buf_add(out, model->path);
        hs_buf_add_lit(out, "/q/");
        hs_buf_add(out, named->name);
        hs_buf_add(out, named->methods & HTTP_GET ? HS_STR("\",\"method\":\"GET\",")
                                                  : HS_STR("\",\"method\":\"POST\","));
        add_text(out, "description", named->description);
        hs_buf_add(out, named->is_one ? HS_STR(",\"one\":true") : HS_STR(",\"one\":false"));
        write_params(named, out);
        write_columns(named, out);
        if (named->fault.status) {
            hs_buf_add_char(out, ',');
            add_text(out, "fault", hs_str(named->fault.what));
        }
        hs_buf_add_char(out, '}');
    }
    hs_buf_add_char(out, ']');
}

bool api_named_hides(const struct api_model *model)
{
    return model->n_named && api_model_table(model, HS_STR("q"));
}

const struct hs_err *api_named_next_fault(const struct api_model *model, size_t *at)
{
    while (*at < model->n_named) {
        const struct api_named *named = &model->named[(*at)++];

        if (named->fault.status)
            return &named->fault;
    }
    return NULL;
}

bool api_named_next_unkept(const struct api_model *model, size_t *at, struct hs_str *ret_file,
                           struct hs_str *ret_why)
{
    while (*at < model->n_named) {
        const struct api_named *named = &model->named[(*at)++];

        if (named->fault.status || !(named->methods & HTTP_GET) || named->depend->is_known ||
            !named->ttl)
            continue;
        *ret_file = named->file;
        *ret_why = named->depend->why;
        return true;
    }
    return false;
}
