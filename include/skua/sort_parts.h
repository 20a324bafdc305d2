/* What a sort is made of: the runtime's and SKUA_SORT_DEFINE's own. Each function is inlined where the size of an
 * element and the comparison are constants, so that one text serves each type.
 *
 * None of them makes a branch of a comparison's result where it could go either way, and none relies on a comparison to
 * stay inside of its array: one that contradicts itself gives some order, and no element is lost.
 */
#ifndef SKUA_SORT_PARTS_H
#define SKUA_SORT_PARTS_H

#include "skua/parallel.h"

SKUA_BEGIN_DECLS

/* One sort under way. */
struct skuai_sort {
    int (*compare)(const void *, const void *); /* for those that do not know it when they are compiled */
    size_t size;                                /* likewise */
    void *scheduler;
    skua_task *caller;                          /* who can be cancelled; NULL: nobody */
    skua_scope *scope;                          /* whose deadlines count, likewise */
    void *memory;
    size_t memory_bytes;
    uint32_t merges;                            /* a stable sort begins with so many halvings, to be merged */
    skua_word32 stopped;                        /* an error, negated */
};

typedef bool skuai_sort_less(const void *a, const void *b, const struct skuai_sort *sort);

/* algorithm_sort.c */
SKUA_API int skuai_sort_begin(struct skuai_sort *sort, const void *base, size_t count, size_t size);
SKUA_API int skuai_sort_end(struct skuai_sort *sort);
/* Whether to leave what is still to do. */
SKUA_API bool skuai_sort_is_stopped(struct skuai_sort *sort);
/* On a cache line; NULL if there is none. Once in a sort, which frees it. */
SKUA_API void *skuai_sort_memory(struct skuai_sort *sort, size_t bytes);
/* Slow, in place, for each size. */
SKUA_API void skuai_sort_by_heap(char *base, size_t count, size_t size, skuai_sort_less *less, struct skuai_sort *sort);
SKUA_API void skuai_sort_in_place(char *base, size_t count, size_t size, skuai_sort_less *less,
                                  struct skuai_sort *sort);

SKUA_END_DECLS

#ifndef __cplusplus

#define SKUAI_SORT_INLINE static inline __attribute__((always_inline, unused))

/* All untuned but where it is said. */
enum {
    SKUAI_SORT_SMALL = 32,          /* elements; measured: 16 to 48 are within 3 % */
    SKUAI_SORT_SMALL_BYTES = 64,    /* larger elements are not copied about for a small sort */
    SKUAI_SORT_ALONE = 2048,        /* elements that one job sorts by itself: some 20 µs */
    SKUAI_SORT_MERGE_ALONE = 8192,
    SKUAI_SORT_LOOK_ALONE = 1 << 16 /* elements to look at, or to turn round */
};

/* The type of an element. */
struct skuai_sort_kind {
    size_t size;
    skuai_sort_less *less;
    struct skuai_sort *sort;
};

SKUAI_SORT_INLINE bool skuai_sort_is_less(struct skuai_sort_kind kind, const char *a, const char *b)
{
    return kind.less(a, b, kind.sort);
}
SKUAI_SORT_INLINE void skuai_sort_move(struct skuai_sort_kind kind, char *to, const char *from)
{
    __builtin_memcpy(to, from, kind.size);
}
SKUAI_SORT_INLINE void skuai_sort_swap(struct skuai_sort_kind kind, char *a, char *b, char *temp)
{
    skuai_sort_move(kind, temp, a);
    skuai_sort_move(kind, a, b);
    skuai_sort_move(kind, b, temp);
}
/* `a` if the choice is false, else `b`, without a branch. */
SKUAI_SORT_INLINE const char *skuai_sort_choose(bool choice, const char *a, const char *b)
{
    return a + (ptrdiff_t)((uintptr_t)-(intptr_t)choice & ((uintptr_t)b - (uintptr_t)a));
}

/* ---- a look at what is there ------------------------------------------------------------------------------------ */

/* Whether each element is (not) less than the one before it. Here branches are right: all but the last go one way. */
SKUAI_SORT_INLINE bool skuai_sort_is_run_of(struct skuai_sort_kind kind, const char *base, size_t count, bool less)
{
    const size_t size = kind.size;
    size_t i = 1;
    for (; count - i >= 4; i += 4) {
        const char *at = base + i * size;
        if (skuai_sort_is_less(kind, at, at - size) != less || skuai_sort_is_less(kind, at + size, at) != less ||
            skuai_sort_is_less(kind, at + 2 * size, at + size) != less ||
            skuai_sort_is_less(kind, at + 3 * size, at + 2 * size) != less)
            return false;
    }
    for (; i < count; i++)
        if (skuai_sort_is_less(kind, base + i * size, base + (i - 1) * size) != less)
            return false;
    return true;
}
SKUAI_SORT_INLINE bool skuai_sort_is_run(struct skuai_sort_kind kind, const char *base, size_t count, bool less)
{
    return less ? skuai_sort_is_run_of(kind, base, count, true) : skuai_sort_is_run_of(kind, base, count, false);
}

/* Exchanges pairs: of `low` and what follows, and `high` and what precedes. */
SKUAI_SORT_INLINE void skuai_sort_turn(struct skuai_sort_kind kind, char *low, char *high, size_t pairs, char *temp)
{
    for (; pairs > 0; pairs--, low += kind.size, high -= kind.size)
        skuai_sort_swap(kind, low, high, temp);
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */

/* From the left, one after another; equal elements of `l` come first. */
SKUAI_SORT_INLINE void skuai_sort_merge_plain(struct skuai_sort_kind kind, const char *l, size_t nl, const char *r,
                                              size_t nr, char *to)
{
    const char *l_end = l + nl * kind.size, *r_end = r + nr * kind.size;
    while (l < l_end && r < r_end) {
        size_t right = skuai_sort_is_less(kind, r, l);
        skuai_sort_move(kind, to, skuai_sort_choose(right != 0, l, r));
        to += kind.size;
        r += right * kind.size;
        l += (1 - right) * kind.size;
    }
    __builtin_memcpy(to, l, (size_t)(l_end - l));
    __builtin_memcpy(to + (l_end - l), r, (size_t)(r_end - r));
}

/* From both ends at once: two chains of dependent loads, where one would leave the processor waiting. As many steps at
 * each end as the shorter side has elements, so that no step can leave its side. */
SKUAI_SORT_INLINE void skuai_sort_merge(struct skuai_sort_kind kind, const char *l, size_t nl, const char *r, size_t nr,
                                        char *to)
{
    const size_t size = kind.size;
    const char *l0 = l, *r0 = r, *l1 = l + nl * size, *r1 = r + nr * size; /* what is left: [l0, l1), [r0, r1) */
    char *to0 = to, *to1 = to + (nl + nr) * size;
    for (;;) {
        size_t left_l = (size_t)(l1 - l0) / size, left_r = (size_t)(r1 - r0) / size;
        size_t steps = left_l < left_r ? left_l : left_r;
        if (steps < 4) {
            skuai_sort_merge_plain(kind, l0, left_l, r0, left_r, to0);
            return;
        }
        for (; steps > 0; steps--) {
            size_t right = skuai_sort_is_less(kind, r0, l0);
            skuai_sort_move(kind, to0, skuai_sort_choose(right != 0, l0, r0));
            to0 += size;
            r0 += right * size;
            l0 += (1 - right) * size;
            size_t left = skuai_sort_is_less(kind, r1 - size, l1 - size);
            to1 -= size;
            skuai_sort_move(kind, to1, skuai_sort_choose(left != 0, r1 - size, l1 - size));
            l1 -= left * size;
            r1 -= (1 - left) * size;
        }
        if (l0 > l1 || r0 > r1) { /* the comparison contradicts itself */
            skuai_sort_merge_plain(kind, l, nl, r, nr, to);
            return;
        }
    }
}

/* How many elements of `l` are among the first `count` of the merge. */
SKUAI_SORT_INLINE size_t skuai_sort_rank(struct skuai_sort_kind kind, const char *l, size_t nl, const char *r,
                                         size_t nr, size_t count)
{
    size_t low = count > nr ? count - nr : 0, high = count < nl ? count : nl;
    while (low < high) {
        size_t i = low + (high - low) / 2;
        if (skuai_sort_is_less(kind, r + (count - i - 1) * kind.size, l + i * kind.size))
            high = i;
        else
            low = i + 1;
    }
    return low;
}

/* ---- few elements ----------------------------------------------------------------------------------------------- */

SKUAI_SORT_INLINE void skuai_sort_insert(struct skuai_sort_kind kind, char *base, size_t count, char *temp)
{
    for (size_t i = 1; i < count; i++) {
        char *at = base + i * kind.size;
        if (!skuai_sort_is_less(kind, at, at - kind.size))
            continue;
        skuai_sort_move(kind, temp, at);
        do {
            skuai_sort_move(kind, at, at - kind.size);
            at -= kind.size;
        } while (at > base && skuai_sort_is_less(kind, temp, at - kind.size));
        skuai_sort_move(kind, at, temp);
    }
}

/* Four, stably, by five comparisons: both pairs; the least and the greatest; the other two. */
SKUAI_SORT_INLINE void skuai_sort_four(struct skuai_sort_kind kind, const char *from, char *to)
{
    const size_t size = kind.size;
    size_t ab = skuai_sort_is_less(kind, from + size, from);
    size_t cd = skuai_sort_is_less(kind, from + 3 * size, from + 2 * size);
    const char *a = from + ab * size, *b = from + (1 - ab) * size;
    const char *c = from + (2 + cd) * size, *d = from + (3 - cd) * size;
    bool ca = skuai_sort_is_less(kind, c, a), db = skuai_sort_is_less(kind, d, b);
    /* The two between: of the pair that has given the least the greater one, of the other one the lesser. */
    const char *x = skuai_sort_choose(ca, skuai_sort_choose(db, b, c), a);
    const char *y = skuai_sort_choose(db, skuai_sort_choose(ca, c, b), d);
    bool yx = skuai_sort_is_less(kind, y, x);
    skuai_sort_move(kind, to, skuai_sort_choose(ca, a, c));
    skuai_sort_move(kind, to + size, skuai_sort_choose(yx, x, y));
    skuai_sort_move(kind, to + 2 * size, skuai_sort_choose(yx, y, x));
    skuai_sort_move(kind, to + 3 * size, skuai_sort_choose(db, d, b));
}

/* At most SKUAI_SORT_SMALL, stably: groups of four, then merges there and back; room for as many elements. */
SKUAI_SORT_INLINE void skuai_sort_few(struct skuai_sort_kind kind, char *base, size_t count, char *room)
{
    const size_t size = kind.size;
    if (count < 6) {
        skuai_sort_insert(kind, base, count, room);
        return;
    }
    size_t whole = count & ~(size_t)3;
    for (size_t i = 0; i < whole; i += 4)
        skuai_sort_four(kind, base + i * size, room + i * size);
    __builtin_memcpy(room + whole * size, base + whole * size, (count - whole) * size);
    skuai_sort_insert(kind, room + whole * size, count - whole, base + whole * size);
    char *from = room, *to = base;
    for (size_t width = 4; width < count; width *= 2) {
        for (size_t i = 0; i < count; i += 2 * width) {
            size_t nl = count - i < width ? count - i : width;
            size_t nr = count - i - nl < width ? count - i - nl : width;
            skuai_sort_merge(kind, from + i * size, nl, from + (i + nl) * size, nr, to + i * size);
        }
        char *next = from;
        from = to;
        to = next;
    }
    if (from != base)
        __builtin_memcpy(base, room, count * size);
}

/* ---- partitioning ----------------------------------------------------------------------------------------------- */

/* A stretch of the array that is to be sorted. */
struct skuai_sort_part {
    char *base;
    size_t count;
    uint32_t patience; /* lopsided partitions until the heap must do */
    bool leftmost;     /* nothing lies to the left of base; else there is an element not greater than any here */
};

/* For so many elements. */
SKUAI_SORT_INLINE uint32_t skuai_sort_patience(size_t count)
{
    uint32_t patience = 2;
    for (; count > 1; count /= 2)
        patience++;
    return patience;
}

SKUAI_SORT_INLINE const char *skuai_sort_median(struct skuai_sort_kind kind, const char *a, const char *b,
                                                const char *c)
{
    bool ba = skuai_sort_is_less(kind, b, a), ca = skuai_sort_is_less(kind, c, a);
    if (ba != ca)
        return a;
    return skuai_sort_is_less(kind, c, b) != ba ? c : b;
}

/* An element about in the middle: the median of medians of … of three, of 3 to 243 elements. */
SKUAI_SORT_INLINE char *skuai_sort_pivot(struct skuai_sort_kind kind, const struct skuai_sort_part *part)
{
    const char *some[243];
    size_t count = part->count < 128       ? 3
                   : part->count < 2048    ? 9
                   : part->count < 1 << 15 ? 27
                   : part->count < 1 << 20 ? 81
                                           : 243;
    size_t stride = part->count / count;
    for (size_t i = 0; i < count; i++)
        some[i] = part->base + (i * stride + stride / 2) * kind.size;
    for (; count > 1; count /= 3)
        for (size_t i = 0; i < count / 3; i++)
            some[i] = skuai_sort_median(kind, some[i], some[i + count / 3], some[i + count / 3 * 2]);
    return part->base + (some[0] - part->base);
}

/* Puts `next` where it belongs, among what is less (n elements, from low on) or behind it. The place of the element
 * that was moved last is a hole. */
SKUAI_SORT_INLINE size_t skuai_sort_place(struct skuai_sort_kind kind, const char *pivot, bool or_equal, char *low,
                                          size_t n, char *hole, const char *next)
{
    size_t less = or_equal ? !skuai_sort_is_less(kind, pivot, next) : skuai_sort_is_less(kind, next, pivot);
    char *to = low + n * kind.size;
    skuai_sort_move(kind, hole, to);
    skuai_sort_move(kind, to, next);
    return n + less;
}

/* Moves what is less than the pivot, which is the first, to the front (`or_equal`: what is not greater), then the pivot
 * behind it; returns its place. Lomuto's partition as a rotation through a hole, so that each step does the same
 * whatever the comparison says. temp: two elements. */
SKUAI_SORT_INLINE size_t skuai_sort_partition(struct skuai_sort_kind kind, char *base, size_t count, bool or_equal,
                                              char *temp)
{
    const size_t size = kind.size;
    char *pivot = temp, *held = temp + size, *low = base + size, *hole = low, *end = base + count * size;
    size_t n = 0;
    skuai_sort_move(kind, pivot, base);
    skuai_sort_move(kind, held, low);
    for (char *at = low + size; at < end; at += size) {
        n = skuai_sort_place(kind, pivot, or_equal, low, n, hole, at);
        hole = at;
    }
    n = skuai_sort_place(kind, pivot, or_equal, low, n, hole, held);
    skuai_sort_move(kind, base, base + n * size);
    skuai_sort_move(kind, base + n * size, pivot);
    return n;
}

/* The same stably, with the pivot in *temp and none in the array; returns how many went to the front. */
SKUAI_SORT_INLINE size_t skuai_sort_partition_stable(struct skuai_sort_kind kind, char *base, char *other, size_t count,
                                                     bool or_equal, const char *pivot)
{
    const size_t size = kind.size;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const char *at = base + i * size;
        size_t less = or_equal ? !skuai_sort_is_less(kind, pivot, at) : skuai_sort_is_less(kind, at, pivot);
        skuai_sort_move(kind, other + (i - n) * size, at);
        skuai_sort_move(kind, base + n * size, at); /* in one of the two places the next one overwrites it */
        n += less;
    }
    __builtin_memcpy(base + n * size, other, (count - n) * size);
    return n;
}

/* Elements of a part that made a bad pivot go elsewhere, so that the same pattern is not met again. */
SKUAI_SORT_INLINE void skuai_sort_shake(struct skuai_sort_kind kind, char *base, size_t count, char *temp)
{
    uint64_t random = count;
    for (size_t i = 0; count >= 8 && i < 8; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t other = (size_t)(random >> 33) % count;
        skuai_sort_swap(kind, base + i * (count / 8) * kind.size, base + other * kind.size, temp);
    }
}

/* True: *lower elements, then a pivot in its place, then the others. False: the part has become smaller: look again. */
SKUAI_SORT_INLINE bool skuai_sort_split(struct skuai_sort_kind kind, struct skuai_sort_part *part, size_t *lower,
                                        char *temp)
{
    if (part->patience == 0) {
        skuai_sort_by_heap(part->base, part->count, kind.size, kind.less, kind.sort);
        part->count = 0;
        return false;
    }
    char *base = part->base;
    skuai_sort_swap(kind, base, skuai_sort_pivot(kind, part), temp);
    if (!part->leftmost && !skuai_sort_is_less(kind, base - kind.size, base)) {
        /* The pivot is as small as what lies to the left, so it is the smallest here: all its equals are in place. */
        size_t equal = skuai_sort_partition(kind, base, part->count, true, temp);
        part->base += (equal + 1) * kind.size;
        part->count -= equal + 1;
        return false;
    }
    *lower = skuai_sort_partition(kind, base, part->count, false, temp);
    size_t upper = part->count - 1 - *lower;
    if (*lower < part->count / 8 || upper < part->count / 8) {
        part->patience--;
        skuai_sort_shake(kind, base, *lower, temp);
        skuai_sort_shake(kind, base + (*lower + 1) * kind.size, upper, temp);
    }
    return true;
}

/* The same stably, with patience and room for as many elements: *lower elements, then others that are not less. */
SKUAI_SORT_INLINE bool skuai_sort_split_stable(struct skuai_sort_kind kind, struct skuai_sort_part *part, char *other,
                                               size_t *lower, char *temp)
{
    skuai_sort_move(kind, temp, skuai_sort_pivot(kind, part));
    *lower = skuai_sort_partition_stable(kind, part->base, other, part->count, false, temp);
    if (*lower == 0) { /* the pivot is the smallest: all its equals are in place */
        size_t equal = skuai_sort_partition_stable(kind, part->base, other, part->count, true, temp);
        if (equal < part->count / 8)
            part->patience--;
        part->base += equal * kind.size;
        part->count -= equal;
        return false;
    }
    if (*lower < part->count / 8 || part->count - *lower < part->count / 8)
        part->patience--;
    return true;
}

#endif

#endif
