/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/named_int.h - what the files of api/named share.
 *
 *     named_file.c    a file: its head
 *     named_sql.c     its statement
 *     named_model.c   files and what PostgreSQL says of them
 *     named_read.c    the values of a request's parameters
 *     named_list.c    listings
 *     named.c         the request
 */
#ifndef API_NAMED_INT_H
#define API_NAMED_INT_H

#include "api/request.h"
#include "api/named.h"

/* The query of that name; NULL if there is none. */
struct api_named *api_named_find(const struct api_model *model, struct hs_str name);
/* May a role run it? reader: its bit, as in pg_column.readers. */
bool api_named_is_for(const struct api_named *named, uint64_t reader);

/* Is what stands behind {api.path}/ the address of a named query? */
bool api_named_is(const struct api_model *model, struct hs_str path_rest);
/*
 * Answers it; the request's hold is set. On error the caller answers and releases.
 */
hs_status api_named_start(struct api_request *r, struct hs_err *reterr) hs_must_check;

/*
 * The values of its parameters, from the query string or (is_body) from the JSON object of the body: *ret_values has
 * one each, NULL = SQL NULL. *ret_is_fixed: none of them means something else tomorrow.
 *   errors  HS_E_BAD_PARAMETER, HS_E_BAD_VALUE, HS_E_BAD_JSON, HS_E_BAD_BODY, HS_E_BAD_ENCODING, HS_E_MEMORY
 */
hs_status named_values(const struct api_named *named, const struct http_req *req, bool is_body,
                       const char ***ret_values, bool *ret_is_fixed, struct hs_err *reterr)
    hs_must_check;
/* Is the text a value of the parameter, as far as can be told here? */
hs_status named_value_check(const struct api_named *named, const struct api_named_param *param,
                            struct hs_str text, struct hs_err *reterr) hs_must_check;

/* ,"queries":[...]: those that the role of that bit may run, behind the tables of a listing. */
void api_named_write(const struct api_model *model, uint64_t reader, struct hs_buf *out);

#endif
