/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/h1_class.h - what a byte may be, as one table; for src/http only.
 */
#ifndef HTTP_H1_CLASS_H
#define HTTP_H1_CLASS_H

#include <stdint.h>

enum {
    H1_TOKEN = 1,  /* tchar, RFC 9110, 5.6.2 */
    H1_TARGET = 2, /* visible ASCII but '#': no fragment is ever sent (RFC 9112, 3.2) */
    H1_VALUE = 4,  /* field-vchar, obs-text, SP, HTAB: RFC 9110, 5.5 */
    H1_HOST = 8,   /* reg-name and IPv4: RFC 3986, 3.2.2 */
    H1_V6 = 16,    /* within the brackets of an IP-literal */
    H1_QUOTED = 32 /* qdtext and the second half of a quoted-pair: RFC 9110, 5.6.4 */
};

extern const uint8_t h1_class[256];

static inline int h1_is(char c, int classes)
{
    return h1_class[(unsigned char)c] & classes;
}

#endif
