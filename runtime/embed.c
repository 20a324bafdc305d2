/* Embedded runtimes: whose turn it is. What a turn does is sched/turn.c's.
 *
 *   X1 enter   who takes `turning` from 0 to 1 is the embedding thread until it puts 0 back, for one turn or for a
 *              whole shutdown. Acquire and release: what the worker was in the last turn, on whichever thread, it is in
 *   this. X2 worker  only while tasks run is the thread the worker (skuai_worker_self()): what is called in between, a
 *              log function or a callback, is called by a plain thread.
 * While it is the worker the thread has a signal stack of the runtime's, for reports of overflows, and is not cancelled
 * (pthread_cancel): it would unwind what lies on a fiber's stack, or leave the scheduler as it is. Both are afterwards
 * as they were. Its signal mask stays as it is: what the loop handles it handles, also in the middle of a task.
 */
#include "runtime/embed.h"

#include <errno.h>

#include "io/driver.h"
#include "sched/scope.h"
#include "sched/turn.h"
#include "skua/embed.h"

enum { DRIVE_NS = 1000000 }; /* untuned: how often who drives looks whether it is over */

static skua_runtime *runtime_of(struct skuai_scheduler *sched) { return (skua_runtime *)(void *)sched; }

/* Told apart by the address of something of theirs; after a thread's end it may be another's, which then turns it. */
static uint64_t this_thread(void) { return (uintptr_t)skuai_thread_notes(); }

/* ---- entering -------------------------------------------------------------------------------------------------- */

int skuai_embed_enter(skua_runtime *rt)
{
    struct skuai_embedding *embedding = &rt->embedding;
    if (skuai_worker_self() != NULL)
        return -EPERM;
    if (skuai_exchange_32(&embedding->turning, 1, SKUAI_ACQUIRE) != 0) /* X1 */
        return -EBUSY;
    /* Relaxed: each thread looks for itself only. */
    skuai_store_64(&embedding->embedder, this_thread(), SKUAI_RELAXED);
    return 0;
}

void skuai_embed_leave(skua_runtime *rt)
{
    skuai_store_32(&rt->embedding.turning, 0, SKUAI_RELEASE); /* X1 */
}

/* X2. */
static bool turn(skua_runtime *rt, uint64_t budget_ns, uint64_t wait_until_ns)
{
    struct skuai_worker *worker = rt->sched.workers[0];
    int cancellable = skuai_cancel_hold_off();
    skuai_overflow_thread_enter(&rt->embedding.signal_stack);
    skuai_context_init_thread(&worker->base);
    worker->flow = &worker->base;
    skuai_worker_set_self(worker);
    bool has_more = skuai_turn(worker, budget_ns, wait_until_ns);
    skuai_worker_set_self(NULL);
    skuai_context_fini(&worker->base);
    skuai_overflow_thread_leave(&rt->embedding.signal_stack);
    skuai_cancel_allow(cancellable);
    return has_more;
}

int skuai_embed_run_until(skua_runtime *rt, skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    /* Acquire: pairs with the release of who sets it. No model test runs this: model_turn.c waits likewise. */
    while (skuai_load_32(word, SKUAI_ACQUIRE) != value) {
        if (skuai_clock_now() >= until_ns)
            return -ETIMEDOUT;
        (void)turn(rt, DRIVE_NS, until_ns);
    }
    return 0;
}

/* ---- for who waits (scheduler.h) ------------------------------------------------------------------------------- */

static bool is_embedder(const struct skuai_scheduler *sched)
{
    const skua_runtime *rt = (const skua_runtime *)(const void *)sched;
    return skuai_load_64(&rt->embedding.embedder, SKUAI_RELAXED) == this_thread(); /* as in enter */
}

static int drive(struct skuai_scheduler *sched, skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    skua_runtime *rt = runtime_of(sched);
    int rc = skuai_embed_enter(rt);
    if (rc < 0)
        return rc;
    rc = skuai_embed_run_until(rt, word, value, until_ns);
    skuai_embed_leave(rt);
    return rc;
}

static const struct skuai_embed_hooks hooks = { .is_embedder = is_embedder, .drive = drive };

/* ---- making and ending ----------------------------------------------------------------------------------------- */

int skuai_embed_start(skua_runtime *rt)
{
    rt->sched.embed = &hooks;
    skuai_store_64(&rt->embedding.embedder, this_thread(), SKUAI_RELAXED); /* as in enter */
    int rc = skuai_driver_embed(&rt->sched);
    if (rc < 0)
        return rc;
    if (skuai_overflow_stack_create(&rt->embedding.signal_stack) < 0)
        skuai_log(&rt->sched, SKUA_LOG_WARN, "no signal stack for turns: an overflow there ends in a bare fault");
    skuai_turn_ask(&rt->sched);
    return 0;
}

void skuai_embed_free(skua_runtime *rt) { skuai_overflow_stack_destroy(&rt->embedding.signal_stack); }

/* ---- public ---------------------------------------------------------------------------------------------------- */

static bool is_usable(const skua_runtime *rt, int *error)
{
    *error = rt->sched.embed == NULL         ? -EINVAL
             : skuai_fork_is_child(&rt->sched) ? -ENOTSUP
                                             : 0;
    return *error == 0;
}

int skua_embed_fd(skua_runtime *rt)
{
    int error;
    return is_usable(rt, &error) ? skuai_driver_fd(&rt->sched) : error;
}

static int refuse(struct skuai_scheduler *sched, int error)
{
    (void)skuai_misuse_of(sched, "skua_turn",
                          error == -EPERM  ? "was called inside a task or a turn"
                          : error == -EBUSY ? "was called while another thread turns the runtime"
                                            : "was called after the runtime's shutdown",
                          error == -EPERM  ? "return to the loop, which calls it when the descriptor is readable"
                          : error == -EBUSY ? "let one thread at a time call it, the one whose loop it is"
                                            : "take the descriptor out of the loop before you shut it down");
    return error;
}

int skua_turn(skua_runtime *rt, uint64_t budget_ns)
{
    struct skuai_scheduler *sched = &rt->sched;
    int error;
    if (!is_usable(rt, &error))
        return error;
    error = skuai_embed_enter(rt);
    if (error < 0)
        return refuse(sched, error);
    bool is_over = skuai_load_32(&sched->stage, SKUAI_RELAXED) >= SKUAI_STAGE_STOP; /* set by who had entered */
    bool has_more = !is_over && turn(rt, budget_ns, 0);
    skuai_embed_leave(rt);
    return is_over ? refuse(sched, -ESHUTDOWN) : has_more;
}
