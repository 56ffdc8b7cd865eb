/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks and their text. gmtime_r is avoided on purpose: the civil date is computed from the day number
 * (proleptic Gregorian calendar, years counted from March so that the leap day is the last), which
 * needs no lock and no time zone files.
 */
#include "core/time.h"

#include <time.h>

/* 0000-01-01T00:00:00 and 9999-12-31T23:59:59.999999 */
#define WALL_MIN (INT64_C(-62167219200) * 1000000)
#define WALL_MAX (INT64_C(253402300800) * 1000000 - 1)

struct civil {
    int year;
    int month;   /* 1-12 */
    int day;     /* 1-31 */
    int weekday; /* 0 = Sunday */
    int hour;
    int minute;
    int second;
    int us;
};

static int64_t clock_us(clockid_t which)
{
    struct timespec t;

    HS_BUG_ON(clock_gettime(which, &t) != 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

hs_us hs_now_us(void)
{
    return (hs_us)clock_us(CLOCK_BOOTTIME);
}

struct hs_wall hs_wall_now(void)
{
    return (struct hs_wall){clock_us(CLOCK_REALTIME)};
}

static struct civil to_civil(struct hs_wall t)
{
    int64_t us = t.us < WALL_MIN ? WALL_MIN : t.us > WALL_MAX ? WALL_MAX : t.us;
    int64_t day_us = 86400 * (int64_t)1000000;
    int64_t days = us / day_us - (us % day_us < 0);
    int64_t rest = us - days * day_us;
    int64_t z = days + 719468; /* days since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct civil c;

    c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c.year = (int)(yoe + era * 400 + (c.month <= 2));
    c.weekday = (int)(((days % 7) + 11) % 7);
    c.us = (int)(rest % 1000000);
    rest /= 1000000;
    c.second = (int)(rest % 60);
    c.minute = (int)(rest / 60 % 60);
    c.hour = (int)(rest / 3600);
    return c;
}

/* Access lines carry a date each, so it is written by hand: snprintf takes ten times as long. */
static char *put(char *to, int v, int width, char behind)
{
    for (int i = width - 1; i >= 0; i--) {
        to[i] = (char)('0' + v % 10);
        v /= 10;
    }
    to[width] = behind;
    return to + width + 1;
}

static char *put_clock(char *to, const struct civil *c, char behind)
{
    to = put(to, c->hour, 2, ':');
    to = put(to, c->minute, 2, ':');
    return put(to, c->second, 2, behind);
}

struct hs_str hs_wall_rfc3339(struct hs_wall t, char to[static HS_TIME_TEXT])
{
    struct civil c = to_civil(t);
    char *at = to;

    at = put(at, c.year, 4, '-');
    at = put(at, c.month, 2, '-');
    at = put(at, c.day, 2, 'T');
    at = put_clock(at, &c, '.');
    at = put(at, c.us, 6, 'Z');
    return hs_strn(to, (size_t)(at - to));
}

struct hs_str hs_wall_http(struct hs_wall t, char to[static HS_TIME_TEXT])
{
    static const char days[7][6] = {"Sun, ", "Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, "};
    static const char months[12][5] = {"Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ",
                                       "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec "};
    struct civil c = to_civil(t);
    char *at = to;

    memcpy(at, days[c.weekday], 5);
    at = put(at + 5, c.day, 2, ' ');
    memcpy(at, months[c.month - 1], 4);
    at = put(at + 4, c.year, 4, ' ');
    at = put_clock(at, &c, ' ');
    memcpy(at, "GMT", 3);
    return hs_strn(to, (size_t)(at + 3 - to));
}
