/* Parallel sorting.
 *
 *     rc = skua_parallel_sort(names, count, sizeof names[0], compare);      // compare as qsort's; in a fiber
 *
 * or, several times as fast for small elements, with the comparison compiled in:
 *
 *     SKUA_SORT_DEFINE(sort_by_age, struct person, a, b, a->age < b->age)   // at file scope
 *     …
 *     rc = sort_by_age(people, count);
 *     rc = sort_by_age_stable(people, count);
 *
 * The plain sorts are quicksorts in place; the stable ones (equal elements keep their order) have a second array. Both
 * need O(n log n) comparisons for every input, O(n) for one that is sorted already, in either direction, and less the
 * fewer distinct values there are.
 *
 * All of them:
 *   Threads, Blocks: as skua/algorithm.h says. The comparison may not wait. It must be a strict weak order, as qsort
 *     asks; if it contradicts itself the order is of no meaning, but all elements are still there.
 *   Cancel: the array has all its elements, in some order.
 *   Memory: from the runtime's allocator: plain sorts none for elements of up to 64 bytes; stable ones as much as the
 *     array; elements of more than 64 bytes whose comparison is not compiled in are sorted by pointers: 8 bytes for
 *     each. Without it they sort in place on the calling worker alone: plain ones by a heap, stable ones with
 *     O(n log² n) moves.
 *   Returns: 0; -ECANCELED; -EINVAL (base or compare is NULL, size is 0, or count * size overflows).
 */
#ifndef SKUA_SORT_H
#define SKUA_SORT_H

#include "skua/base.h"
#include "skua/sort_parts.h"

SKUA_BEGIN_DECLS

/* Sorts count elements of this many bytes. Equal elements end up in any order. */
SKUA_API SKUA_NODISCARD int skua_parallel_sort(void *base, size_t count, size_t size,
                                               int (*compare)(const void *a, const void *b));
/* Likewise; equal elements keep their order. */
SKUA_API SKUA_NODISCARD int skua_parallel_sort_stable(void *base, size_t count, size_t size,
                                                      int (*compare)(const void *a, const void *b));

SKUA_END_DECLS

#ifndef __cplusplus

/* Defines `static int name(type *base, size_t count)` and `name_stable`. `less` is an expression over `const type *a`
 * and `const type *b`, by whatever names are given for them: whether *a must come before *b. The type must be small
 * enough for a few of it on a fiber's stack. */
#define SKUA_SORT_DEFINE(name, type, a, b, less)                                                                     \
    SKUAI_SORT_INLINE bool name##_skuai_less(const void *skuai_a, const void *skuai_b,                               \
                                             const struct skuai_sort *skuai_sort)                                    \
    {                                                                                                                \
        const type *a = (const type *)skuai_a, *b = (const type *)skuai_b;                                           \
        (void)skuai_sort;                                                                                            \
        return (less);                                                                                               \
    }                                                                                                                \
    SKUAI_SORT_DEFINE(name, type, sizeof(type), name##_skuai_less)                                                   \
    SKUA_NODISCARD __attribute__((unused)) static int name(type *base, size_t count)                                 \
    {                                                                                                                \
        struct skuai_sort sort;                                                                                      \
        int rc = skuai_sort_begin(&sort, base, count, sizeof(type));                                                 \
        return rc != 0 ? rc : name##_skuai_sort(&sort, (char *)base, count);                                         \
    }                                                                                                                \
    SKUA_NODISCARD __attribute__((unused)) static int name##_stable(type *base, size_t count)                        \
    {                                                                                                                \
        struct skuai_sort sort;                                                                                      \
        int rc = skuai_sort_begin(&sort, base, count, sizeof(type));                                                 \
        return rc != 0 ? rc : name##_skuai_sort_stable(&sort, (char *)base, count);                                  \
    }

/* The rest is the runtime's and the macro's own. ------------------------------------------------------------------- */

/* cell: a type as large as an element at least, and as aligned; bytes: an element's size; both may be the largest of
 * several if they are known only at run time. */
#define SKUAI_SORT_DEFINE(name, cell, bytes, less_fn)                                                                \
    SKUAI_SORT_DEFINE_LOOK(name, cell, bytes, less_fn)                                                               \
    SKUAI_SORT_DEFINE_QUICK(name, cell, bytes, less_fn)                                                              \
    SKUAI_SORT_DEFINE_STABLE(name, cell, bytes, less_fn)

#define SKUAI_SORT_KIND(bytes, less_fn) const struct skuai_sort_kind kind = { (bytes), less_fn, sort }

/* True: it was a run, and is sorted now. */
#define SKUAI_SORT_DEFINE_LOOK(name, cell, bytes, less_fn)                                                           \
    SKUA_PARALLEL(bool, name##_skuai_is_run, struct skuai_sort *, sort, const char *, base, size_t, count, bool, down) \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (count <= SKUAI_SORT_LOOK_ALONE)                                                                          \
            return skuai_sort_is_run(kind, base, count, down);                                                       \
        size_t half = count / 2;                                                                                     \
        SKUA_FORK(upper, name##_skuai_is_run, sort, base + half * kind.size, count - half, down);                    \
        bool is = SKUA_CALL(name##_skuai_is_run, sort, base, half + 1, down);                                        \
        return SKUA_JOIN(name##_skuai_is_run, upper) && is;                                                          \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_turn, struct skuai_sort *, sort, char *, low, char *, high, size_t, pairs)       \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        cell temp;                                                                                                   \
        if (pairs <= SKUAI_SORT_LOOK_ALONE) {                                                                        \
            skuai_sort_turn(kind, low, high, pairs, (char *)&temp);                                                  \
            return;                                                                                                  \
        }                                                                                                            \
        size_t half = pairs / 2;                                                                                     \
        SKUA_FORK(inner, name##_skuai_turn, sort, low + half * kind.size, high - half * kind.size, pairs - half);    \
        SKUA_CALL(name##_skuai_turn, sort, low, high, half);                                                         \
        SKUA_JOIN(name##_skuai_turn, inner);                                                                         \
    }                                                                                                                \
    SKUA_PARALLEL(bool, name##_skuai_look, struct skuai_sort *, sort, char *, base, size_t, count)                   \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (count < 2)                                                                                               \
            return true;                                                                                             \
        bool down = skuai_sort_is_less(kind, base + kind.size, base);                                                \
        if (!skuai_sort_is_run(kind, base, count < 64 ? count : 64, down))                                           \
            return false;                                                                                            \
        if (count > 64 && !SKUA_CALL(name##_skuai_is_run, sort, base, count, down))                                  \
            return false;                                                                                            \
        if (down)                                                                                                    \
            SKUA_CALL(name##_skuai_turn, sort, base, base + (count - 1) * kind.size, count / 2);                     \
        return true;                                                                                                 \
    }

/* Below SKUAI_SORT_ALONE without jobs. */
#define SKUAI_SORT_DEFINE_QUICK(name, cell, bytes, less_fn)                                                          \
    __attribute__((noinline)) static bool name##_skuai_split(struct skuai_sort *sort, struct skuai_sort_part *part,  \
                                                             size_t *lower)                                          \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        cell temp[2];                                                                                                \
        return skuai_sort_split(kind, part, lower, (char *)temp);                                                    \
    }                                                                                                                \
    __attribute__((noinline)) static void name##_skuai_few(struct skuai_sort *sort, char *base, size_t count)        \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        cell room[sizeof(cell) <= SKUAI_SORT_SMALL_BYTES ? SKUAI_SORT_SMALL : 1];                                    \
        if (sizeof(cell) <= SKUAI_SORT_SMALL_BYTES)                                                                  \
            skuai_sort_few(kind, base, count, (char *)room);                                                         \
        else                                                                                                         \
            skuai_sort_insert(kind, base, count, (char *)room);                                                      \
    }                                                                                                                \
    static void name##_skuai_quick_alone(struct skuai_sort *sort, struct skuai_sort_part part)                       \
    {                                                                                                                \
        size_t lower, size = (bytes);                                                                                \
        while (part.count > SKUAI_SORT_SMALL) {                                                                      \
            if (!name##_skuai_split(sort, &part, &lower))                                                            \
                continue;                                                                                            \
            struct skuai_sort_part upper = { part.base + (lower + 1) * size, part.count - lower - 1,                 \
                                             part.patience, false };                                                 \
            part.count = lower;                                                                                      \
            if (lower < upper.count) { /* the shorter one by recursion: its depth is that of halving */              \
                name##_skuai_quick_alone(sort, part);                                                                \
                part = upper;                                                                                        \
            } else {                                                                                                 \
                name##_skuai_quick_alone(sort, upper);                                                               \
            }                                                                                                        \
        }                                                                                                            \
        name##_skuai_few(sort, part.base, part.count);                                                               \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_quick, struct skuai_sort *, sort, struct skuai_sort_part, part)                  \
    {                                                                                                                \
        size_t lower, size = (bytes);                                                                                \
        while (part.count > SKUAI_SORT_ALONE) {                                                                      \
            if (skuai_sort_is_stopped(sort))                                                                         \
                return;                                                                                              \
            if (!name##_skuai_split(sort, &part, &lower))                                                            \
                continue;                                                                                            \
            struct skuai_sort_part upper = { part.base + (lower + 1) * size, part.count - lower - 1,                 \
                                             part.patience, false };                                                 \
            part.count = lower;                                                                                      \
            SKUA_FORK(other, name##_skuai_quick, sort, upper);                                                       \
            SKUA_CALL(name##_skuai_quick, sort, part);                                                               \
            SKUA_JOIN(name##_skuai_quick, other);                                                                    \
            return;                                                                                                  \
        }                                                                                                            \
        name##_skuai_quick_alone(sort, part);                                                                        \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_quick_all, struct skuai_sort *, sort, char *, base, size_t, count)               \
    {                                                                                                                \
        struct skuai_sort_part part = { base, count, skuai_sort_patience(count), true };                             \
        if (!SKUA_CALL(name##_skuai_look, sort, base, count))                                                        \
            SKUA_CALL(name##_skuai_quick, sort, part);                                                               \
    }                                                                                                                \
    __attribute__((unused)) static int name##_skuai_sort(struct skuai_sort *sort, char *base, size_t count)          \
    {                                                                                                                \
        SKUA_RUN(name##_skuai_quick_all, sort, base, count);                                                         \
        return skuai_sort_end(sort);                                                                                 \
    }

/* Sorts `from`, over into `other` or staying; both are arrays of the same length. First, for many workers, halves that
 * are merged; then a quicksort with partitions into the other array; and mergesort where that goes wrong. */
#define SKUAI_SORT_DEFINE_STABLE(name, cell, bytes, less_fn)                                                         \
    __attribute__((noinline)) static void name##_skuai_merge_alone(struct skuai_sort *sort, const char *l, size_t nl, \
                                                                   const char *r, size_t nr, char *to)               \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (skuai_sort_is_less(kind, r, l + (nl - 1) * kind.size)) {                                                 \
            skuai_sort_merge(kind, l, nl, r, nr, to);                                                                \
        } else {                                                                                                     \
            __builtin_memcpy(to, l, nl * kind.size);                                                                 \
            __builtin_memcpy(to + nl * kind.size, r, nr * kind.size);                                                \
        }                                                                                                            \
    }                                                                                                                \
    static void name##_skuai_stable_alone(struct skuai_sort *sort, char *from, char *other, size_t count, bool over) \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (count <= SKUAI_SORT_SMALL) {                                                                             \
            skuai_sort_few(kind, from, count, other);                                                                \
            if (over)                                                                                                \
                __builtin_memcpy(other, from, count * kind.size);                                                    \
            return;                                                                                                  \
        }                                                                                                            \
        size_t half = count / 2, at = half * kind.size;                                                              \
        name##_skuai_stable_alone(sort, from, other, half, !over);                                                   \
        name##_skuai_stable_alone(sort, from + at, other + at, count - half, !over);                                 \
        char *in = over ? from : other;                                                                              \
        name##_skuai_merge_alone(sort, in, half, in + at, count - half, over ? other : from);                        \
    }                                                                                                                \
    __attribute__((noinline)) static bool name##_skuai_split_stable(struct skuai_sort *sort,                         \
                                                                    struct skuai_sort_part *part, char *other,       \
                                                                    size_t *lower)                                   \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        cell temp;                                                                                                   \
        return skuai_sort_split_stable(kind, part, other, lower, (char *)&temp);                                     \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_stable_quick, struct skuai_sort *, sort, struct skuai_sort_part, part,           \
                       char *, other)                                                                                \
    {                                                                                                                \
        size_t lower, size = (bytes);                                                                                \
        while (part.count > SKUAI_SORT_SMALL && part.patience > 0) {                                                 \
            if (part.count > SKUAI_SORT_ALONE && skuai_sort_is_stopped(sort))                                        \
                return;                                                                                              \
            char *base = part.base;                                                                                  \
            if (!name##_skuai_split_stable(sort, &part, other, &lower)) {                                            \
                other += part.base - base;                                                                           \
                continue;                                                                                            \
            }                                                                                                        \
            struct skuai_sort_part upper = { base + lower * size, part.count - lower, part.patience, false };        \
            size_t whole = part.count;                                                                               \
            part.count = lower;                                                                                      \
            if (whole > SKUAI_SORT_ALONE) {                                                                          \
                SKUA_FORK(right, name##_skuai_stable_quick, sort, upper, other + lower * size);                      \
                SKUA_CALL(name##_skuai_stable_quick, sort, part, other);                                             \
                SKUA_JOIN(name##_skuai_stable_quick, right);                                                         \
                return;                                                                                              \
            }                                                                                                        \
            if (lower < upper.count) { /* the shorter one by recursion: its depth is that of halving */              \
                SKUA_CALL(name##_skuai_stable_quick, sort, part, other);                                             \
                part = upper;                                                                                        \
                other += lower * size;                                                                               \
            } else {                                                                                                 \
                SKUA_CALL(name##_skuai_stable_quick, sort, upper, other + lower * size);                             \
            }                                                                                                        \
        }                                                                                                            \
        name##_skuai_stable_alone(sort, part.base, other, part.count, false);                                        \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_merge, struct skuai_sort *, sort, const char *, l, size_t, nl, const char *, r,  \
                       size_t, nr, char *, to)                                                                       \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (nl + nr <= SKUAI_SORT_MERGE_ALONE || nl == 0 || nr == 0) {                                               \
            skuai_sort_merge(kind, l, nl, r, nr, to);                                                                \
            return;                                                                                                  \
        }                                                                                                            \
        size_t half = (nl + nr) / 2, i = skuai_sort_rank(kind, l, nl, r, nr, half), j = half - i;                    \
        SKUA_FORK(upper, name##_skuai_merge, sort, l + i * kind.size, nl - i, r + j * kind.size, nr - j,             \
                  to + half * kind.size);                                                                            \
        SKUA_CALL(name##_skuai_merge, sort, l, i, r, j, to);                                                         \
        SKUA_JOIN(name##_skuai_merge, upper);                                                                        \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_stable, struct skuai_sort *, sort, char *, from, char *, other, size_t, count,   \
                       bool, over, uint32_t, merges)                                                                 \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (merges == 0 || count <= SKUAI_SORT_MERGE_ALONE || skuai_sort_is_stopped(sort)) {                         \
            struct skuai_sort_part part = { from, count, skuai_sort_patience(count), true };                         \
            SKUA_CALL(name##_skuai_stable_quick, sort, part, other);                                                 \
            if (over)                                                                                                \
                __builtin_memcpy(other, from, count * kind.size);                                                    \
            return;                                                                                                  \
        }                                                                                                            \
        size_t half = count / 2, at = half * kind.size;                                                              \
        SKUA_FORK(upper, name##_skuai_stable, sort, from + at, other + at, count - half, !over, merges - 1);         \
        SKUA_CALL(name##_skuai_stable, sort, from, other, half, !over, merges - 1);                                  \
        SKUA_JOIN(name##_skuai_stable, upper);                                                                       \
        char *in = over ? from : other, *to = over ? other : from;                                                   \
        if (skuai_sort_is_stopped(sort) || !skuai_sort_is_less(kind, in + at, in + at - kind.size))                  \
            __builtin_memcpy(to, in, count * kind.size); /* whatever happens, all is where it is looked for */       \
        else                                                                                                         \
            SKUA_CALL(name##_skuai_merge, sort, in, half, in + at, count - half, to);                                \
    }                                                                                                                \
    SKUA_PARALLEL_VOID(name##_skuai_stable_all, struct skuai_sort *, sort, char *, base, size_t, count)              \
    {                                                                                                                \
        SKUAI_SORT_KIND(bytes, less_fn);                                                                             \
        if (SKUA_CALL(name##_skuai_look, sort, base, count))                                                         \
            return;                                                                                                  \
        char *other = skuai_sort_memory(sort, count * kind.size);                                                    \
        if (other != NULL)                                                                                           \
            SKUA_CALL(name##_skuai_stable, sort, base, other, count, false, sort->merges);                           \
        else                                                                                                         \
            skuai_sort_in_place(base, count, kind.size, kind.less, sort);                                            \
    }                                                                                                                \
    __attribute__((unused)) static int name##_skuai_sort_stable(struct skuai_sort *sort, char *base, size_t count)   \
    {                                                                                                                \
        SKUA_RUN(name##_skuai_stable_all, sort, base, count);                                                        \
        return skuai_sort_end(sort);                                                                                 \
    }

#endif

#endif
