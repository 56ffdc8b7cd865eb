/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/types.h - which kind of JSON value a PostgreSQL type is.
 */
#ifndef PG_TYPES_H
#define PG_TYPES_H

#include "pg/catalog.h"

/*
 * oid and typtype as in pg_type; is_array = elements reached by array_subscript_handler. Never for a
 * domain: its kind is that of its base type.
 */
enum pg_kind pg_type_kind(uint32_t oid, char typtype, bool is_array);

#endif
