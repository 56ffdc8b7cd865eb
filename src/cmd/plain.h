/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/plain.h - JSON as text for people: members one below the other, lists of objects as tables.
 */
#ifndef CMD_PLAIN_H
#define CMD_PLAIN_H

#include "core/buf.h"

/*
 * Appends the value of the member "data" of the object `json`. Control characters are shown as '?', since what clients
 * have sent must not reach a terminal. false: it is no such JSON.
 */
bool plain_write(struct hs_str json, struct hs_buf *out) hs_must_check;

#endif
