/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/fault.h"

const char *edge_fault_name(enum edge_fault fault)
{
    static const char *const names[EDGE_FAULTS] = {
        [EDGE_FAULT_NONE] = "",
        [EDGE_FAULT_ANONYMOUS] = "anonymous",
        [EDGE_FAULT_UNCONFIGURED] = "no_keys",
        [EDGE_FAULT_SCHEME] = "scheme",
        [EDGE_FAULT_EMPTY] = "empty",
        [EDGE_FAULT_LENGTH] = "length",
        [EDGE_FAULT_PARTS] = "form",
        [EDGE_FAULT_ENCODING] = "encoding",
        [EDGE_FAULT_HEADER] = "header",
        [EDGE_FAULT_ALGORITHM] = "algorithm",
        [EDGE_FAULT_KEY] = "key",
        [EDGE_FAULT_SIGNATURE] = "signature",
        [EDGE_FAULT_REVOKED] = "revoked",
        [EDGE_FAULT_PAYLOAD] = "payload",
        [EDGE_FAULT_EXPIRED] = "expired",
        [EDGE_FAULT_NOT_YET] = "not_yet",
        [EDGE_FAULT_ISSUED] = "issued_later",
        [EDGE_FAULT_EXP_TYPE] = "exp",
        [EDGE_FAULT_NBF_TYPE] = "nbf",
        [EDGE_FAULT_IAT_TYPE] = "iat",
        [EDGE_FAULT_AUD_TYPE] = "aud",
        [EDGE_FAULT_AUDIENCE] = "audience",
        [EDGE_FAULT_NO_ROLE] = "no_role",
        [EDGE_FAULT_ROLE] = "role",
        [EDGE_FAULT_API_KEY] = "api_key",
    };

    return names[fault];
}
