/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/reference.h - docs/reference/errors.md and metrics.md, from the tables that the program
 * itself uses (core/status.def, pg/sqlstate.def, core/metrics.def).
 */
#ifndef CMD_REFERENCE_H
#define CMD_REFERENCE_H

#include "core/buf.h"

/* docs/reference/hasten.1, from the table of commands, their options, and conf/options.def. */
void cmd_reference_man(struct hs_buf *out);
void cmd_reference_errors(struct hs_buf *out);
void cmd_reference_metrics(struct hs_buf *out);

#endif
