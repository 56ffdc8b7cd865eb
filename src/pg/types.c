/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in types whose oids PostgreSQL fixes for ever, and what is left for all others.
 *
 * The one rule: the kinds are those of to_json(). So oid, money and interval are text here (to_json()
 * quotes them), and a base type that somebody added is text too.
 *
 * Source: src/include/catalog/pg_type.dat of PostgreSQL 15; manual, 8 (data types) and 53.64 (pg_type).
 */
#include "pg/types.h"

static const struct {
    uint32_t oid;
    enum pg_kind kind;
} builtin[] = {
    {16, PG_KIND_BOOL},          /* bool */
    {17, PG_KIND_BYTEA},         /* bytea */
    {20, PG_KIND_INT8},          /* int8 */
    {21, PG_KIND_INT},           /* int2 */
    {23, PG_KIND_INT},           /* int4 */
    {114, PG_KIND_JSON},         /* json */
    {700, PG_KIND_FLOAT},        /* float4 */
    {701, PG_KIND_FLOAT},        /* float8 */
    {1082, PG_KIND_DATE},        /* date */
    {1083, PG_KIND_TIME},        /* time */
    {1114, PG_KIND_TIMESTAMP},   /* timestamp */
    {1184, PG_KIND_TIMESTAMPTZ}, /* timestamptz */
    {1266, PG_KIND_TIME},        /* timetz */
    {1700, PG_KIND_NUMERIC},     /* numeric */
    {3802, PG_KIND_JSON},        /* jsonb */
};

enum pg_kind pg_type_kind(uint32_t oid, char typtype, bool is_array)
{
    if (is_array)
        return PG_KIND_ARRAY;
    switch (typtype) {
    case 'c':
        return PG_KIND_COMPOSITE;
    case 'e':
        return PG_KIND_ENUM;
    case 'r':
    case 'm':
        return PG_KIND_RANGE;
    default:
        break;
    }
    for (size_t i = 0; i < HS_LEN(builtin); i++) {
        if (builtin[i].oid == oid)
            return builtin[i].kind;
    }
    return PG_KIND_TEXT;
}
