/* Parallel reductions. See algorithm.h.
 *
 * A job that runs where it was forked, at its join, goes on with the accumulator of what lies left of it: so without
 * thieves a reduction is the plain loop. A job that was taken makes an accumulator of its own, which its forker
 * combines into its own and frees. The strand tells which is the case.
 *
 * A deterministic one is a fixed tree: leaves of one grain to two, each from a fresh accumulator.
 */
#include "sched/algorithm.h"

#include <errno.h>

enum {
    GRAIN_PARTS = 256, /* a range is cut in about as many; untuned: cheap, and enough for dozens of workers */
    GRAIN_MAX = 4096,
    ROOM_BYTES = 64    /* for an accumulator in a stack frame */
};

struct reduction {
    struct skuai_loop loop;
    const skua_reduce *how;
    void *context;
    size_t grain;
};

SKUA_PARALLEL(void *, reduce_part, struct reduction *, r, skua_strand *, forker, void *, left, size_t, at, size_t, end,
              size_t, chunk)
{
    const skua_reduce *how = r->how;
    SKUA_FORKED(reduce_part) upper[SKUAI_LOOP_FORKS];
    size_t upper_end[SKUAI_LOOP_FORKS];
    int forks = 0;
    void *acc = left;
    if (skuai_strand != forker) { /* taken */
        acc = skuai_memory_get(r->loop.sched, how->size);
        if (acc == NULL)
            return NULL; /* the forker does it */
        how->init(r->context, acc);
    }
    struct skuai_pace pace = skuai_pace_begin(&r->loop, chunk);
    while (at < end && !skuai_loop_is_stopped(&r->loop)) {
        if (skuai_loop_is_to_split(&r->loop, skuai_strand, &pace, end - at)) {
            if (forks == SKUAI_LOOP_FORKS) {
                SKUA_CALL(reduce_part, r, skuai_strand, acc, at, end, pace.chunk);
                break;
            }
            size_t middle = skuai_loop_middle(&r->loop, at, end);
            SKUA_FORK_INTO(upper[forks], reduce_part, r, skuai_strand, acc, middle, end, pace.chunk);
            upper_end[forks++] = end;
            end = middle;
        }
        size_t next = skuai_pace_next(&pace, &r->loop, at, end);
        how->body(r->context, acc, at, next);
        skuai_pace_lap(&pace, &r->loop, next - at);
        at = next;
    }
    while (forks-- > 0) {
        void *right = SKUA_JOIN(reduce_part, upper[forks]);
        if (right == NULL) {
            SKUA_CALL(reduce_part, r, skuai_strand, acc, end, upper_end[forks], pace.chunk);
        } else if (right != acc) {
            how->combine(r->context, acc, right);
            skuai_memory_put(r->loop.sched, right, how->size);
        }
        end = upper_end[forks];
    }
    return acc;
}

/* ---- deterministic ---------------------------------------------------------------------------------------------- */

/* Into `acc`, which is to be initialised. */
SKUA_PARALLEL_VOID(tree_part, struct reduction *, r, void *, acc, size_t, begin, size_t, end)
{
    const skua_reduce *how = r->how;
    if (end - begin < 2 * r->grain) {
        how->init(r->context, acc);
        if (begin < end && !skuai_loop_is_stopped(&r->loop))
            how->body(r->context, acc, begin, end);
        skuai_env_point(&r->loop.sched->env, SKUAI_POINT_CHUNK); /* where others catch up */
        return;
    }
    _Alignas(max_align_t) char room[ROOM_BYTES];
    void *right = how->size <= ROOM_BYTES ? room : skuai_memory_get(r->loop.sched, how->size);
    if (right == NULL) {
        how->init(r->context, acc);
        /* Relaxed: read when all jobs have been joined, and by who may stop late. */
        skuai_store_32(&r->loop.stopped, ENOMEM, SKUAI_RELAXED);
        return;
    }
    size_t middle = begin + (end - begin) / 2;
    SKUA_FORK(upper, tree_part, r, right, middle, end);
    SKUA_CALL(tree_part, r, acc, begin, middle);
    SKUA_JOIN(tree_part, upper);
    how->combine(r->context, acc, right);
    if (right != room)
        skuai_memory_put(r->loop.sched, right, how->size);
}

static size_t grain_of(size_t count, size_t min_chunk)
{
    size_t grain = count / GRAIN_PARTS < GRAIN_MAX ? count / GRAIN_PARTS : GRAIN_MAX;
    return grain > min_chunk ? grain : min_chunk;
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

SKUA_PARALLEL_VOID(reduce_all, struct reduction *, r, void *, result, size_t, begin, size_t, end)
{
    r->how->init(r->context, result);
    SKUA_CALL(reduce_part, r, skuai_strand, result, begin, end, r->loop.min_chunk);
}

int skua_parallel_reduce_with(const skua_parallel_attr *attr, size_t begin, size_t end, const skua_reduce *how,
                              void *context, void *result)
{
    struct reduction r = { .how = how, .context = context };
    if (begin > end || result == NULL || how == NULL || how->size == 0 || how->init == NULL || how->body == NULL ||
        how->combine == NULL)
        return -EINVAL;
    int rc = skuai_loop_begin(&r.loop, "skua_parallel_reduce", attr);
    if (rc != 0)
        return rc;
    skuai_parallel_announce((end - begin) / SKUAI_INDICES_PER_NS);
    if (attr != NULL && attr->deterministic) {
        r.grain = grain_of(end - begin, r.loop.min_chunk);
        SKUA_RUN(tree_part, &r, result, begin, end);
    } else {
        SKUA_RUN(reduce_all, &r, result, begin, end);
    }
    return skuai_loop_end(&r.loop);
}

int skua_parallel_reduce(size_t begin, size_t end, const skua_reduce *how, void *context, void *result)
{
    return skua_parallel_reduce_with(NULL, begin, end, how, context, result);
}
