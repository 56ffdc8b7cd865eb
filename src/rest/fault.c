/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/fault.h, row by row. What PostgREST knows nothing of (a token that is too long or logged out, an API key) has
 * the code of a token that cannot be decoded, and hasten's own words.
 */
#include "rest/fault.h"

#include "edge/fault.h"

#define NO_KEY "No suitable key or wrong key type"
#define NONE_FITS "No suitable key was found to decode the JWT"

static const struct {
    hs_status status;
    const char *message; /* NULL: the error's own */
    const char *details;
} rows[EDGE_FAULTS] = {
    [EDGE_FAULT_ANONYMOUS] = {HS_E_PGRST302, "Anonymous access is disabled", NULL},
    [EDGE_FAULT_UNCONFIGURED] = {HS_E_PGRST300, "Server lacks JWT secret", NULL},
    [EDGE_FAULT_SCHEME] = {HS_E_PGRST301, NULL, NULL},
    [EDGE_FAULT_EMPTY] = {HS_E_PGRST301, "Empty JWT is sent in Authorization header", NULL},
    [EDGE_FAULT_LENGTH] = {HS_E_PGRST301, NULL, NULL},
    [EDGE_FAULT_PARTS] = {HS_E_PGRST301, NULL, NULL}, /* with a number */
    [EDGE_FAULT_ENCODING] = {HS_E_PGRST301, "JWT cryptographic operation failed", NULL},
    [EDGE_FAULT_HEADER] = {HS_E_PGRST301, "JWT cryptographic operation failed", NULL},
    [EDGE_FAULT_ALGORITHM] = {HS_E_PGRST301, NO_KEY, NONE_FITS},
    [EDGE_FAULT_KEY] = {HS_E_PGRST301, NO_KEY, NONE_FITS},
    [EDGE_FAULT_SIGNATURE] = {HS_E_PGRST301, NO_KEY, "None of the keys was able to decode the JWT"},
    [EDGE_FAULT_REVOKED] = {HS_E_PGRST301, NULL, NULL},
    [EDGE_FAULT_API_KEY] = {HS_E_PGRST301, NULL, NULL},
    [EDGE_FAULT_PAYLOAD] = {HS_E_PGRST303, "Parsing claims failed", NULL},
    [EDGE_FAULT_EXPIRED] = {HS_E_PGRST303, "JWT expired", NULL},
    [EDGE_FAULT_NOT_YET] = {HS_E_PGRST303, "JWT not yet valid", NULL},
    [EDGE_FAULT_ISSUED] = {HS_E_PGRST303, "JWT issued at future", NULL},
    [EDGE_FAULT_EXP_TYPE] = {HS_E_PGRST303, "The JWT 'exp' claim must be a number", NULL},
    [EDGE_FAULT_NBF_TYPE] = {HS_E_PGRST303, "The JWT 'nbf' claim must be a number", NULL},
    [EDGE_FAULT_IAT_TYPE] = {HS_E_PGRST303, "The JWT 'iat' claim must be a number", NULL},
    [EDGE_FAULT_AUD_TYPE] = {HS_E_PGRST303,
                             "The JWT 'aud' claim must be a string or an array of strings", NULL},
    [EDGE_FAULT_AUDIENCE] = {HS_E_PGRST303, "JWT not in audience", NULL},
    [EDGE_FAULT_NO_ROLE] = {HS_E_PGRST302, "Anonymous access is disabled", NULL},
};

bool rest_fault_of(const struct hs_err *err, struct hs_arena *arena, struct rest_fault *ret_fault)
{
    bool is_token = err->status == HS_E_NO_TOKEN || err->status == HS_E_BAD_TOKEN ||
                    err->status == HS_E_BAD_ROLE;
    enum edge_fault fault = is_token ? edge_fault_of(err) : EDGE_FAULT_NONE;
    const struct hs_status_info *info;
    struct hs_str message;

    if (!rows[fault].status)
        return false;
    message = hs_str(rows[fault].message ? rows[fault].message : err->what);
    if (fault == EDGE_FAULT_PARTS)
        message = hs_arena_printf(arena, "Expected 3 parts in JWT; got %u", edge_fault_number(err));
    info = hs_status_info(rows[fault].status);
    *ret_fault = (struct rest_fault){info->code, info->http, message, rows[fault].details};
    return true;
}
