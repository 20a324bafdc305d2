/* Parallel algorithms: loops, reductions, scans and calls, in the workers that run the tasks. Sorting is in sort.h.
 *
 *     static void scale(void *context, size_t begin, size_t end)
 *     {
 *         double *x = context;
 *         for (size_t i = begin; i < end; i++)
 *             x[i] *= 2;
 *     }
 *     …
 *     int rc = skua_parallel_for(0, count, scale, x);      // in a fiber
 *
 * There is no grain size to choose. The caller itself goes through the range, chunk after chunk; between chunks it
 * looks whether a worker is out of work, and only then gives it the upper half of what remains, where the same goes on.
 * A chunk begins as a single index and grows while it takes less than some microseconds, so that a body of a nanosecond
 * runs at the speed of the plain loop, and a body of a millisecond is split at each index. (If the cost jumps a
 * thousandfold from one index to the next, the chunk under way is not cut short for that.)
 *
 * All of them:
 *   Threads: fibers, and whatever a job calls (parallel.h), so they nest. Not a future's body, not a plain thread: that
 *     is misuse (-EPERM, if the runtime's handler returns).
 *   Blocks: parks the task while what other workers have taken is under way. The functions given may themselves wait;
 *     each call may end on another thread than it began, and different calls run at the same time and in any order,
 *     unless it says otherwise. One index must not wait for another.
 *   Cancel: if the calling task is cancelled no further chunk begins and -ECANCELED is returned, when those that have
 *     begun are over. Inside a shield it is not looked for.
 *   Memory: none as long as one worker does it all.
 */
#ifndef SKUA_ALGORITHM_H
#define SKUA_ALGORITHM_H

#include "skua/base.h"

SKUA_BEGIN_DECLS

/* How to split, beyond the usual. Zero everything not needed. */
typedef struct skua_parallel_attr {
    size_t min_chunk;   /* no chunk is shorter, unless it is the range's last or only one; 0: 1 */
    bool deterministic; /* reductions and scans: what is combined with what depends on the range and min_chunk only, so
                           that sums of floating-point numbers are the same, bit for bit, in each run on any number of
                           workers. Chunks have a fixed length then: if a chunk takes less than a microsecond (a 256th
                           of the range does, and 4,096 indices), give min_chunk */
    void *reserved[4];  /* zero */
} skua_parallel_attr;

/* Does the indices from begin on, up to end - 1. */
typedef void skua_for_fn(void *context, size_t begin, size_t end);

/* Calls the body for chunks that together are the range, each index once.
 * Cancel: some chunks have been done and others not; none is half done.
 * Returns: 0; -ECANCELED; -EINVAL (begin > end, body is NULL). */
SKUA_API SKUA_NODISCARD int skua_parallel_for(size_t begin, size_t end, skua_for_fn *body, void *context);
/* The same with attributes (NULL: none). */
SKUA_API SKUA_NODISCARD int skua_parallel_for_with(const skua_parallel_attr *attr, size_t begin, size_t end,
                                                   skua_for_fn *body, void *context);

/* A reduction: how to make something out of each index, and one thing out of all of that.
 *     static void zero(void *context, void *acc) { *(double *)acc = 0; }
 *     static void sum(void *context, void *acc, size_t begin, size_t end)
 *     {
 *         for (const double *x = context; begin < end; begin++)
 *             *(double *)acc += x[begin];
 *     }
 *     static void add(void *context, void *acc, const void *right) { *(double *)acc += *(const double *)right; }
 *     …
 *     static const skua_reduce how = { sizeof(double), zero, sum, add };
 *     double total;
 *     int rc = skua_parallel_reduce(0, count, &how, x, &total);
 * `combine` must be associative; it need not be commutative: operands keep the order of their indices. What it has
 * combined is not looked at again, and each accumulator but the result is combined into another one, so accumulators
 * may own memory. They are aligned as elements of an array of that size. */
typedef struct skua_reduce {
    size_t size;                                                      /* bytes of an accumulator */
    void (*init)(void *context, void *acc);                           /* makes it neutral */
    void (*body)(void *context, void *acc, size_t begin, size_t end); /* adds these indices, at its right end */
    void (*combine)(void *context, void *acc, const void *right);     /* adds what follows, and may use it up */
} skua_reduce;

/* Reduces a range into *result, which need not be initialised.
 * Cancel: *result is what the chunks that were done make, in order.
 * Returns: 0; -ECANCELED; -EINVAL (begin > end, a member of `how` is 0 or NULL, result is NULL: it is left alone). */
SKUA_API SKUA_NODISCARD int skua_parallel_reduce(size_t begin, size_t end, const skua_reduce *how, void *context,
                                                 void *result);
/* The same with attributes (NULL: none). Returns also -ENOMEM, if it is to be deterministic and accumulators have more
 * than 64 bytes; *result is then as if it had been cancelled. */
SKUA_API SKUA_NODISCARD int skua_parallel_reduce_with(const skua_parallel_attr *attr, size_t begin, size_t end,
                                                      const skua_reduce *how, void *context, void *result);

/* A scan: for each index something that depends on all before it, as running totals do.
 *     static void running(void *context, const void *prefix, size_t begin, size_t end)
 *     {
 *         double *x = context, total = *(const double *)prefix;         // of all before begin
 *         for (; begin < end; begin++)
 *             x[begin] = total += x[begin];
 *     }
 *     …
 *     static const skua_scan how = {
 *         .size = sizeof(double), .init = zero, .sum = sum, .combine = add, .apply = running
 *     };
 *     int rc = skua_parallel_scan(0, count, &how, x, NULL);
 * For each index `sum` is called at most once, and before `apply`, so that a scan in place is fine. Where the prefix is
 * known, `advance` does the work of both in one pass, if there is one and the scan is not to be deterministic: it is
 * given the prefix and leaves what `sum` would have made of it. The rest is as in a reduction; but accumulators are
 * copied as bytes and forgotten, so they must not own anything. */
typedef struct skua_scan {
    size_t size;                                                      /* bytes of an accumulator */
    void (*init)(void *context, void *acc);                           /* makes it neutral */
    void (*sum)(void *context, void *acc, size_t begin, size_t end);  /* adds these indices, at its right end */
    void (*combine)(void *context, void *acc, const void *right);     /* adds what follows */
    void (*apply)(void *context, const void *prefix, size_t begin, size_t end); /* is told what is before `begin` */
    void (*advance)(void *context, void *acc, size_t begin, size_t end); /* both at once, or NULL: see above */
} skua_scan;

/* Scans a range; *total (may be NULL) becomes what all its indices make. A single worker that need not give the total
 * calls `apply` once, for the whole range.
 * Cancel: as a loop; *total is then of no meaning.
 * Returns: 0; -ECANCELED; -EINVAL (begin > end, another member of `how` than advance is 0 or NULL); -ENOMEM only
 *   if two accumulators have more than 256 bytes: nothing was called. */
SKUA_API SKUA_NODISCARD int skua_parallel_scan(size_t begin, size_t end, const skua_scan *how, void *context,
                                               void *total);
/* The same with attributes (NULL: none). */
SKUA_API SKUA_NODISCARD int skua_parallel_scan_with(const skua_parallel_attr *attr, size_t begin, size_t end,
                                                    const skua_scan *how, void *context, void *total);

/* A call to make. */
typedef struct skua_invoke {
    void (*fn)(void *arg); /* as a job: it may wait */
    void *arg;             /* what it is given */
} skua_invoke;

/* Makes all these calls, at the same time as far as there are workers. Calls may wait for one another only if each of
 * them also comes to an end after the others have: their order is open.
 * Cancel: some have been made, and the others never will be.
 * Returns: 0; -ECANCELED; -EINVAL (a function, or the array, is NULL: nothing was called). */
SKUA_API SKUA_NODISCARD int skua_parallel_invoke(const skua_invoke *calls, size_t count);

SKUA_END_DECLS

#endif
