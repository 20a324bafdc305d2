/* Parallel loops and calls, and what all algorithms share. See algorithm.h. */
#include "sched/algorithm.h"

#include "sched/scope.h"

#include <errno.h>

/* ---- what all share --------------------------------------------------------------------------------------------- */

int skuai_loop_begin(struct skuai_loop *loop, const char *call, const skua_parallel_attr *attr)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL || worker->polling != 0)
        return skuai_misuse(call,
                            worker == NULL ? "was called outside of a runtime" : "was called inside a future's body",
                            worker == NULL ? "call it in a fiber; skua_block_on() runs one"
                                           : "spawn a fiber and join it");
    loop->sched = worker->sched;
    uint32_t say = 0;
    bool is_shielded = skuai_scopes_shield(worker->task->scope, &say);
    loop->caller = (struct skuai_caller){ is_shielded ? NULL : worker->task, worker->task->scope };
    loop->min_chunk = attr != NULL && attr->min_chunk != 0 ? attr->min_chunk : 1;
    skuai_store_32(&loop->stopped, 0, SKUAI_RELAXED); /* forks publish it */
    return 0;
}

int skuai_caller_interruption(const struct skuai_caller *caller)
{
    /* The caller waits or works elsewhere; the job that asks may be on a fiber that was asked to end by itself.
     * Relaxed: a flag with nothing behind it. */
    if (caller->task != NULL && (skuai_load_64(&caller->task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0)
        return -ECANCELED;
    uint32_t say = 0;
    skuai_scopes_shield(caller->scope, &say);
    return say & SKUAI_SCOPES_CANCELED  ? -ECANCELED
           : say & SKUAI_SCOPES_EXPIRED ? -ETIMEDOUT
                                        : skuai_interruption(skuai_worker_self());
}

bool skuai_loop_asks_stop(struct skuai_loop *loop)
{
    int rc = skuai_caller_interruption(&loop->caller);
    if (SKUAI_LIKELY(rc == 0))
        return false;
    skuai_store_32(&loop->stopped, (uint32_t)-rc, SKUAI_RELAXED); /* likewise */
    return true;
}

bool skuai_pace_is_worth(const struct skuai_pace *pace, const struct skuai_loop *loop, const skua_strand *strand,
                         size_t left)
{
    if (left < 2 || left / 2 < loop->min_chunk)
        return false;
    if (pace->count == 0)
        return left < SKUAI_FEW || skuai_parallel_expects_long(strand);
    const uint64_t clock = SKUAI_TICKS_PER_US / SKUAI_CLOCK_PER_US;
    double took = pace->took > clock ? (double)(pace->took - clock) : 0;
    const uint64_t goal = (uint64_t)SKUAI_SPLIT_US * SKUAI_TICKS_PER_US;
    return took * (double)left >= (double)goal * (double)pace->count; /* products of integers could overflow */
}

void skuai_pace_seeded(struct skuai_pace *pace, struct skuai_loop *loop)
{
    size_t most = loop->min_chunk > SKUAI_SIM_CHUNK ? loop->min_chunk : SKUAI_SIM_CHUNK;
    pace->chunk = 2 * pace->chunk < most ? 2 * pace->chunk : most;
    pace->took = UINT32_MAX; /* whatever is left pays */
    skuai_env_point(&loop->sched->env, SKUAI_POINT_CHUNK); /* where others catch up */
}

/* ---- loops ------------------------------------------------------------------------------------------------------ */

struct for_loop {
    struct skuai_loop *loop;
    skua_for_fn *body;
    void *context;
};

SKUA_PARALLEL_VOID(for_part, const struct for_loop *, each, size_t, at, size_t, end, size_t, chunk)
{
    SKUA_FORKED(for_part) upper[SKUAI_LOOP_FORKS];
    int forks = 0;
    struct skuai_pace pace = skuai_pace_begin(each->loop, chunk);
    while (at < end && !skuai_loop_is_stopped(each->loop)) {
        if (skuai_loop_is_to_split(each->loop, skuai_strand, &pace, end - at)) {
            if (forks == SKUAI_LOOP_FORKS) {
                SKUA_CALL(for_part, each, at, end, pace.chunk);
                break;
            }
            size_t middle = skuai_loop_middle(each->loop, at, end);
            SKUA_FORK_INTO(upper[forks], for_part, each, middle, end, pace.chunk);
            forks++;
            end = middle;
        }
        size_t next = skuai_pace_next(&pace, each->loop, at, end);
        each->body(each->context, at, next);
        skuai_pace_lap(&pace, each->loop, next - at);
        at = next;
    }
    while (forks-- > 0)
        SKUA_JOIN(for_part, upper[forks]);
}

void skuai_loop_for(struct skuai_loop *loop, size_t begin, size_t end, skua_for_fn *body, void *context)
{
    const struct for_loop each = { loop, body, context };
    skuai_parallel_announce((end - begin) / SKUAI_INDICES_PER_NS);
    SKUA_RUN(for_part, &each, begin, end, loop->min_chunk);
}

int skua_parallel_for_with(const skua_parallel_attr *attr, size_t begin, size_t end, skua_for_fn *body, void *context)
{
    struct skuai_loop loop;
    if (begin > end || body == NULL)
        return -EINVAL;
    int rc = skuai_loop_begin(&loop, "skua_parallel_for", attr);
    if (rc != 0)
        return rc;
    skuai_loop_for(&loop, begin, end, body, context);
    return skuai_loop_end(&loop);
}

int skua_parallel_for(size_t begin, size_t end, skua_for_fn *body, void *context)
{
    return skua_parallel_for_with(NULL, begin, end, body, context);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* Each call counts as long: all that the caller does not make itself is forked at once. */
SKUA_PARALLEL_VOID(invoke_part, struct skuai_loop *, loop, const skua_invoke *, calls, size_t, count)
{
    if (count == 1) {
        if (!skuai_loop_is_stopped(loop))
            calls->fn(calls->arg);
        return;
    }
    size_t lower = count - count / 2;
    SKUA_FORK(upper, invoke_part, loop, calls + lower, count / 2);
    SKUA_CALL(invoke_part, loop, calls, lower);
    SKUA_JOIN(invoke_part, upper);
}

int skua_parallel_invoke(const skua_invoke *calls, size_t count)
{
    struct skuai_loop loop;
    if (calls == NULL && count > 0)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (calls[i].fn == NULL)
            return -EINVAL;
    int rc = skuai_loop_begin(&loop, "skua_parallel_invoke", NULL);
    if (rc != 0 || count == 0)
        return rc;
    SKUA_RUN(invoke_part, &loop, calls, count);
    return skuai_loop_end(&loop);
}
