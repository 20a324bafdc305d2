/* Parallel sorts of elements whose type is known only at run time, and what all sorts share. The algorithms are in
 * skua/sort.h and skua/sort_parts.h.
 *
 * Elements of 4, 8 and 16 bytes are moved by code made for their size; up to 64 bytes by code for any size; larger ones
 * stay until the pointers to them are sorted, and then move once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/algorithm.h"
#include "skua/sort.h"

enum { SORTED_PER_NS = 8 }; /* elements, if they are sorted already; untuned: 4 of 8 bytes were measured */

/* ---- what all share --------------------------------------------------------------------------------------------- */

int skuai_sort_begin(struct skuai_sort *sort, const void *base, size_t count, size_t size)
{
    struct skuai_loop loop;
    if (size == 0 || (base == NULL && count > 0) || count > (SIZE_MAX - SKUAI_CACHE_LINE) / size)
        return -EINVAL;
    int rc = skuai_loop_begin(&loop, "a parallel sort", NULL);
    if (rc != 0)
        return rc;
    *sort = (struct skuai_sort){
        .scheduler = loop.sched, .caller = loop.caller.task, .scope = loop.caller.scope, .size = size
    };
    /* Halving lets all workers take part from the start, where a partition is one worker's; but a level of merging
     * takes about twice the time. */
    for (uint32_t workers = loop.sched->nworkers; workers >= 4; workers /= 2)
        sort->merges++;
    skuai_parallel_announce(count / SORTED_PER_NS);
    return 0;
}

int skuai_sort_end(struct skuai_sort *sort)
{
    skuai_parallel_announce(0); /* where there was no memory nothing has run */
    if (sort->memory != NULL)
        skuai_memory_put(sort->scheduler, sort->memory, sort->memory_bytes);
    /* Relaxed: all jobs have been joined. */
    return -(int)skuai_load_32(&sort->stopped, SKUAI_RELAXED);
}

bool skuai_sort_is_stopped(struct skuai_sort *sort)
{
    /* Relaxed, both: a flag with nothing behind it. */
    if (skuai_load_32(&sort->stopped, SKUAI_RELAXED) != 0)
        return true;
    struct skuai_scheduler *sched = sort->scheduler;
    skuai_env_point(&sched->env, SKUAI_POINT_CHUNK); /* where others catch up */
    struct skuai_caller caller = { sort->caller, sort->scope };
    int rc = skuai_caller_can_be(&caller) ? skuai_caller_interruption(&caller) : 0;
    if (SKUAI_LIKELY(rc == 0))
        return false;
    skuai_store_32(&sort->stopped, (uint32_t)-rc, SKUAI_RELAXED);
    return true;
}

void *skuai_sort_memory(struct skuai_sort *sort, size_t bytes)
{
    sort->memory_bytes = bytes + SKUAI_CACHE_LINE;
    sort->memory = skuai_memory_get(sort->scheduler, sort->memory_bytes);
    if (sort->memory == NULL)
        return NULL;
    return (char *)sort->memory + (-(uintptr_t)sort->memory & (SKUAI_CACHE_LINE - 1));
}

/* ---- without memory, in place ----------------------------------------------------------------------------------- */

static void exchange(char *a, char *b, size_t size)
{
    uint64_t word_a, word_b;
    for (; size >= sizeof word_a; size -= sizeof word_a, a += sizeof word_a, b += sizeof word_a) {
        memcpy(&word_a, a, sizeof word_a);
        memcpy(&word_b, b, sizeof word_b);
        memcpy(a, &word_b, sizeof word_b);
        memcpy(b, &word_a, sizeof word_a);
    }
    for (; size > 0; size--, a++, b++) {
        char byte = *a;
        *a = *b;
        *b = byte;
    }
}

static void sift(char *base, size_t at, size_t count, struct skuai_sort_kind kind)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        char *down = base + at * kind.size, *up = base + child * kind.size;
        if (child + 1 < count && skuai_sort_is_less(kind, up, up + kind.size)) {
            child++;
            up += kind.size;
        }
        if (!skuai_sort_is_less(kind, down, up))
            return;
        exchange(down, up, kind.size);
    }
}

void skuai_sort_by_heap(char *base, size_t count, size_t size, skuai_sort_less *less, struct skuai_sort *sort)
{
    const struct skuai_sort_kind kind = { size, less, sort };
    for (size_t at = count / 2; at-- > 0;)
        sift(base, at, count, kind);
    while (count-- > 1) {
        exchange(base, base + count * size, size);
        sift(base, 0, count, kind);
    }
}

static void reverse(char *base, size_t count, size_t size)
{
    for (char *low = base, *high = base + count * size; (high -= size) > low; low += size)
        exchange(low, high, size);
}

/* What lies behind the first `before` elements comes before them. */
static void rotate(char *base, size_t before, size_t count, size_t size)
{
    if (before == 0 || before == count)
        return;
    reverse(base, before, size);
    reverse(base + before * size, count - before, size);
    reverse(base, count, size);
}

/* How many of them come before the element; `or_equal`: also those that equal it. */
static size_t bound(const char *base, size_t count, const char *element, bool or_equal, struct skuai_sort_kind kind)
{
    size_t low = 0;
    for (size_t high = count; low < high;) {
        size_t i = low + (high - low) / 2;
        const char *at = base + i * kind.size;
        if (or_equal ? !skuai_sort_is_less(kind, element, at) : skuai_sort_is_less(kind, at, element))
            low = i + 1;
        else
            high = i;
    }
    return low;
}

/* Merges neighbours by rotating the middle. Source: Dudzinski, Dydek, On a stable minimum storage merging algorithm,
 * Information Processing Letters 12 (1981). The halved side makes the depth logarithmic. */
static void merge_in_place(char *base, size_t nl, size_t nr, struct skuai_sort_kind kind)
{
    while (nl > 0 && nr > 0) {
        char *right = base + nl * kind.size;
        if (!skuai_sort_is_less(kind, right, right - kind.size))
            return;
        if (nl + nr == 2) {
            exchange(base, right, kind.size);
            return;
        }
        size_t i, j;
        if (nl > nr) {
            i = nl / 2;
            j = bound(right, nr, base + i * kind.size, false, kind);
        } else {
            j = nr / 2;
            i = bound(base, nl, right + j * kind.size, true, kind);
        }
        rotate(base + i * kind.size, nl - i, nl - i + j, kind.size);
        merge_in_place(base, i, j, kind);
        base += (i + j) * kind.size;
        nl -= i;
        nr -= j;
    }
}

void skuai_sort_in_place(char *base, size_t count, size_t size, skuai_sort_less *less, struct skuai_sort *sort)
{
    enum { RUN = 16 };
    const struct skuai_sort_kind kind = { size, less, sort };
    for (size_t begin = 0; begin < count; begin += RUN)
        for (size_t i = begin + 1; i < count && i < begin + RUN; i++)
            for (char *at = base + i * size;
                 at > base + begin * size && skuai_sort_is_less(kind, at, at - size); at -= size)
                exchange(at, at - size, size);
    for (size_t width = RUN; width < count; width *= 2)
        for (size_t at = 0; count - at > width && !skuai_sort_is_stopped(sort);) {
            size_t right = count - at - width < width ? count - at - width : width;
            merge_in_place(base + at * size, width, right, kind);
            at += width + right;
        }
}

/* ---- by size ---------------------------------------------------------------------------------------------------- */

enum { ANY_BYTES = 64 };
struct any {
    _Alignas(max_align_t) char bytes[ANY_BYTES];
};
struct sixteen {
    _Alignas(max_align_t) char bytes[16];
};

static inline bool compared(const void *a, const void *b, const struct skuai_sort *sort)
{
    return sort->compare(a, b) < 0;
}
static inline bool compared_pointers(const void *a, const void *b, const struct skuai_sort *sort)
{
    const char *at_a, *at_b;
    memcpy(&at_a, a, sizeof at_a);
    memcpy(&at_b, b, sizeof at_b);
    return sort->compare(at_a, at_b) < 0;
}

SKUAI_SORT_DEFINE(four, uint32_t, sizeof(uint32_t), compared)
SKUAI_SORT_DEFINE(eight, uint64_t, sizeof(uint64_t), compared)
SKUAI_SORT_DEFINE(sixteen, struct sixteen, sizeof(struct sixteen), compared)
SKUAI_SORT_DEFINE(any, struct any, sort->size, compared)
SKUAI_SORT_DEFINE(pointers, char *, sizeof(char *), compared_pointers)

/* Puts at each place what its pointer says. */
static void follow(char **pointers, char *base, size_t count, size_t size, char *temp)
{
    for (size_t i = 0; i < count; i++) {
        char *first = base + i * size, *to = first;
        if (pointers[i] == first)
            continue;
        memcpy(temp, first, size);
        for (size_t at = i; pointers[at] != first;) {
            char *from = pointers[at];
            memcpy(to, from, size);
            pointers[at] = to;
            to = from;
            at = (size_t)(from - base) / size;
        }
        memcpy(to, temp, size);
        pointers[(size_t)(to - base) / size] = to;
    }
}

static int sort_large(struct skuai_sort *sort, char *base, size_t count, bool stable)
{
    size_t size = sort->size, bytes = size;
    char **pointers = NULL;
    if (count <= (SIZE_MAX - size) / sizeof *pointers) {
        bytes = count * sizeof *pointers + size;
        pointers = skuai_memory_get(sort->scheduler, bytes);
    }
    if (pointers == NULL) {
        (stable ? skuai_sort_in_place : skuai_sort_by_heap)(base, count, size, compared, sort);
        return skuai_sort_end(sort);
    }
    for (size_t i = 0; i < count; i++)
        pointers[i] = base + i * size;
    struct skuai_scheduler *sched = sort->scheduler;
    int rc = (stable ? pointers_skuai_sort_stable : pointers_skuai_sort)(sort, (char *)pointers, count);
    if (rc == 0)
        follow(pointers, base, count, size, (char *)(pointers + count));
    skuai_memory_put(sched, pointers, bytes);
    return rc;
}

static int sort_any(void *base, size_t count, size_t size, int (*compare)(const void *, const void *), bool stable)
{
    struct skuai_sort sort;
    if (compare == NULL)
        return -EINVAL;
    int rc = skuai_sort_begin(&sort, base, count, size);
    if (rc != 0)
        return rc;
    sort.compare = compare;
    switch (size) {
    case sizeof(uint32_t):
        return (stable ? four_skuai_sort_stable : four_skuai_sort)(&sort, base, count);
    case sizeof(uint64_t):
        return (stable ? eight_skuai_sort_stable : eight_skuai_sort)(&sort, base, count);
    case sizeof(struct sixteen):
        return (stable ? sixteen_skuai_sort_stable : sixteen_skuai_sort)(&sort, base, count);
    default:
        if (size > ANY_BYTES)
            return sort_large(&sort, base, count, stable);
        return (stable ? any_skuai_sort_stable : any_skuai_sort)(&sort, base, count);
    }
}

int skua_parallel_sort(void *base, size_t count, size_t size, int (*compare)(const void *a, const void *b))
{
    return sort_any(base, count, size, compare, false);
}

int skua_parallel_sort_stable(void *base, size_t count, size_t size, int (*compare)(const void *a, const void *b))
{
    return sort_any(base, count, size, compare, true);
}
