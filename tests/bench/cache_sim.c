/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which eviction for the cache: LRU, SIEVE, S3-FIFO and W-TinyLFU over the same traces, objects of one size. Prints
 * one table of hit ratios, in percent. The answer is in docs/explanation/cache-eviction.md.
 *
 *   Zipf s     the object of rank r is asked for with a chance in proportion to r to the power of -s
 *   scan       Zipf 0.9; in between, a quarter of all requests, runs of objects that are never asked for again
 *   shift      Zipf 1.0, whose ranks move on by a hundredth of the objects fifty times
 *
 * Sources: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024; Yang et al., "FIFO queues are all you need for
 * cache eviction", SOSP 2023; Einziger et al., "TinyLFU: A Highly Efficient Cache Admission Policy", ACM TOS 2017.
 *
 * usage: cache_sim [seed]
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OBJECTS = 100000,
    REQUESTS = 2000000,
    SCAN_RUN = 5000,
    SHIFTS = 50,
    IDS = OBJECTS + REQUESTS / 4 + SCAN_RUN, /* those of the scans as well */
    LISTS = 3,
    FREQ_MAX = 3
};

static uint64_t rng_state;

static uint64_t rng_next(void)
{
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- traces ---- */

static double zipf_sum[OBJECTS];
static uint32_t trace[REQUESTS];

static void zipf_init(double s)
{
    double sum = 0;

    for (int i = 0; i < OBJECTS; i++)
        zipf_sum[i] = sum += pow(i + 1, -s);
}

static uint32_t zipf_draw(void)
{
    double at = (double)(rng_next() >> 11) / 9007199254740992.0 * zipf_sum[OBJECTS - 1];
    uint32_t low = 0;
    uint32_t high = OBJECTS - 1;

    while (low < high) {
        uint32_t mid = (low + high) / 2;

        if (zipf_sum[mid] < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void trace_zipf(double s)
{
    zipf_init(s);
    for (int i = 0; i < REQUESTS; i++)
        trace[i] = zipf_draw();
}

static void trace_scan(void)
{
    uint32_t fresh = OBJECTS;

    zipf_init(0.9);
    for (int i = 0; i < REQUESTS; i++)
        trace[i] = i / SCAN_RUN % 4 == 3 ? fresh++ : zipf_draw();
}

static void trace_shift(void)
{
    zipf_init(1.0);
    for (int i = 0; i < REQUESTS; i++) {
        uint32_t phase = (uint32_t)(i / (REQUESTS / SHIFTS));

        trace[i] = (zipf_draw() + phase * (OBJECTS / 100)) % OBJECTS;
    }
}

/* ---- lists of objects: front is the newest ---- */

struct node {
    uint32_t prev;
    uint32_t next;
    uint8_t where; /* 0 = in no list, else its number + 1 */
    uint8_t freq;
};

static struct node nodes[IDS + LISTS]; /* the last are the heads */
static size_t list_n[LISTS];

static void lists_reset(void)
{
    memset(nodes, 0, sizeof(nodes));
    memset(list_n, 0, sizeof(list_n));
    for (uint32_t i = IDS; i < IDS + LISTS; i++)
        nodes[i].prev = nodes[i].next = i;
}

static void list_remove(uint32_t id)
{
    struct node *node = &nodes[id];

    nodes[node->prev].next = node->next;
    nodes[node->next].prev = node->prev;
    list_n[node->where - 1]--;
    node->where = 0;
}

static void list_push(unsigned list, uint32_t id)
{
    uint32_t head = IDS + list;
    uint32_t first = nodes[head].next;

    nodes[id].prev = head;
    nodes[id].next = first;
    nodes[first].prev = nodes[head].next = id;
    nodes[id].where = (uint8_t)(list + 1);
    list_n[list]++;
}

static uint32_t list_last(unsigned list)
{
    return nodes[IDS + list].prev;
}

/* ---- policies: asked(id) says whether it was a hit ---- */

static size_t capacity;

static bool lru_asked(uint32_t id)
{
    bool is_hit = nodes[id].where != 0;

    if (is_hit)
        list_remove(id);
    else if (list_n[0] == capacity)
        list_remove(list_last(0));
    list_push(0, id);
    return is_hit;
}

static uint32_t sieve_hand;

static void sieve_evict(void)
{
    uint32_t at = sieve_hand == UINT32_MAX ? list_last(0) : sieve_hand;

    while (nodes[at].freq) {
        nodes[at].freq = 0;
        at = nodes[at].prev;
        if (at == IDS)
            at = list_last(0);
    }
    sieve_hand = nodes[at].prev == IDS ? UINT32_MAX : nodes[at].prev;
    list_remove(at);
}

static bool sieve_asked(uint32_t id)
{
    if (nodes[id].where) {
        nodes[id].freq = 1;
        return true;
    }
    if (list_n[0] == capacity)
        sieve_evict();
    nodes[id].freq = 0;
    list_push(0, id);
    return false;
}

/* S3-FIFO: a small queue, the main one, and a memory of what left the small one. */
enum { SMALL, MAIN, GHOST };

static void s3_forget(uint32_t id)
{
    if (list_n[GHOST] >= capacity * 9 / 10)
        list_remove(list_last(GHOST));
    list_push(GHOST, id);
}

static void s3_evict_main(void)
{
    for (;;) {
        uint32_t id = list_last(MAIN);

        list_remove(id);
        if (!nodes[id].freq)
            return;
        nodes[id].freq--;
        list_push(MAIN, id);
    }
}

/* Room for one more. */
static void s3_evict(void)
{
    while (list_n[SMALL] + list_n[MAIN] >= capacity) {
        uint32_t id = list_last(SMALL);

        if (list_n[SMALL] < capacity / 10 || list_n[SMALL] == 0) {
            s3_evict_main();
            return;
        }
        list_remove(id);
        if (nodes[id].freq > 1) {
            nodes[id].freq = 0;
            list_push(MAIN, id);
        } else {
            s3_forget(id);
        }
    }
}

static bool s3_asked(uint32_t id)
{
    struct node *node = &nodes[id];
    bool is_ghost = node->where == GHOST + 1;

    if (node->where && !is_ghost) {
        if (node->freq < FREQ_MAX)
            node->freq++;
        return true;
    }
    if (is_ghost)
        list_remove(id);
    s3_evict();
    node->freq = 0;
    list_push(is_ghost ? MAIN : SMALL, id);
    return false;
}

/* W-TinyLFU: a window of 1 %, then a segmented LRU to which a sketch of frequencies admits. */
enum { WINDOW, PROBATION, PROTECTED };
enum { SKETCH_ROWS = 4, SKETCH_MAX = 15 };

static uint8_t *sketch[SKETCH_ROWS];
static size_t sketch_mask;
static size_t sketch_n;

static void sketch_reset(void)
{
    size_t n = 1;

    while (n < capacity * 4)
        n *= 2;
    for (int row = 0; row < SKETCH_ROWS; row++) {
        free(sketch[row]);
        sketch[row] = calloc(n, 1);
        if (!sketch[row])
            abort();
    }
    sketch_mask = n - 1;
    sketch_n = 0;
}

static uint8_t *sketch_cell(int row, uint32_t id)
{
    uint64_t z = (id + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)(row + 1) * 0xd6e8feb86659fd93u;

    z = (z ^ (z >> 32)) * 0xbf58476d1ce4e5b9u;
    return &sketch[row][(z >> 29) & sketch_mask];
}

static unsigned sketch_of(uint32_t id)
{
    unsigned least = SKETCH_MAX;

    for (int row = 0; row < SKETCH_ROWS; row++) {
        unsigned v = *sketch_cell(row, id);

        least = v < least ? v : least;
    }
    return least;
}

static void sketch_add(uint32_t id)
{
    for (int row = 0; row < SKETCH_ROWS; row++) {
        uint8_t *cell = sketch_cell(row, id);

        *cell = (uint8_t)(*cell + (*cell < SKETCH_MAX));
    }
    if (++sketch_n < capacity * 10)
        return;
    sketch_n = 0;
    for (int row = 0; row < SKETCH_ROWS; row++) {
        for (size_t i = 0; i <= sketch_mask; i++)
            sketch[row][i] /= 2;
    }
}

static void tiny_hit(uint32_t id)
{
    unsigned list = nodes[id].where - 1u;

    list_remove(id);
    list_push(list == WINDOW ? WINDOW : PROTECTED, id);
    if (list_n[PROTECTED] > capacity * 8 / 10) {
        uint32_t demoted = list_last(PROTECTED);

        list_remove(demoted);
        list_push(PROBATION, demoted);
    }
}

static bool tiny_asked(uint32_t id)
{
    size_t window = capacity / 100 ? capacity / 100 : 1;
    uint32_t candidate;
    uint32_t victim;

    sketch_add(id);
    if (nodes[id].where) {
        tiny_hit(id);
        return true;
    }
    list_push(WINDOW, id);
    if (list_n[WINDOW] <= window)
        return false;
    candidate = list_last(WINDOW);
    list_remove(candidate);
    list_push(PROBATION, candidate);
    if (list_n[PROBATION] + list_n[PROTECTED] <= capacity - window)
        return false;
    victim = list_last(PROBATION);
    list_remove(sketch_of(candidate) > sketch_of(victim) ? victim : candidate);
    return false;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    bool (*asked)(uint32_t id);
} POLICIES[] = {
    {"LRU", lru_asked}, {"SIEVE", sieve_asked}, {"S3-FIFO", s3_asked}, {"W-TinyLFU", tiny_asked}};

static double hit_percent(bool (*asked)(uint32_t id))
{
    uint64_t hits = 0;

    lists_reset();
    sketch_reset();
    sieve_hand = UINT32_MAX;
    for (int i = 0; i < REQUESTS; i++)
        hits += asked(trace[i]);
    return 100.0 * (double)hits / REQUESTS;
}

static void print_rows(const char *name)
{
    static const size_t PERCENTS[] = {1, 10};

    for (size_t i = 0; i < 2; i++) {
        capacity = (size_t)OBJECTS * PERCENTS[i] / 100;
        printf("| %-8s | %3zu %% |", name, PERCENTS[i]);
        for (size_t p = 0; p < sizeof(POLICIES) / sizeof(POLICIES[0]); p++)
            printf(" %9.1f |", hit_percent(POLICIES[p].asked));
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    rng_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    printf("| trace    | size  |");
    for (size_t p = 0; p < sizeof(POLICIES) / sizeof(POLICIES[0]); p++)
        printf(" %9s |", POLICIES[p].name);
    printf("\n|---|---|---:|---:|---:|---:|\n");
    for (int s = 7; s <= 12; s++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "Zipf %.1f", s / 10.0);
        trace_zipf(s / 10.0);
        print_rows(name);
    }
    trace_scan();
    print_rows("scan");
    trace_shift();
    print_rows("shift");
    return 0;
}
