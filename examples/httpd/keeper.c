/* Who looks after the connections.
 *
 * A timer that is set and stopped for each request is spared: a connection notes what it is at, and since which tick,
 * in a word of its own; the keeper goes through all of them at each tick, an eighth of the shortest time-out or a
 * second. So time-outs come up to two ticks late, and while there is no connection nobody ticks.
 *
 * Whose time is over is not cancelled, but shut down: its next read finds the end, or its write that nobody reads. It
 * may have something to say yet (408), and what computes for a request that has come at the last moment goes on.
 */
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <sys/socket.h>

enum { TICKS = 8 }; /* in the shortest time-out; untuned */

static enum stage stage_of(uint32_t mark) { return (enum stage)(mark & ((1u << MARK_STAGE_BITS) - 1)); }

void keeper_init(struct keeper *keeper, const struct options *options)
{
    const uint64_t limits_ns[STAGES] = {
        [STAGE_IDLE] = options->idle_ns,   [STAGE_HEAD] = options->head_ns,     [STAGE_BODY] = options->body_ns,
        [STAGE_WRITE] = options->write_ns, [STAGE_LINGER] = options->linger_ns,
    };
    *keeper = (struct keeper){ .tick_ns = SKUA_S, .lock = SKUA_MUTEX_INIT };
    skua_notify_init(&keeper->came);
    skua_notify_init(&keeper->left);
    for (int i = 0; i < STAGES; i++)
        if (limits_ns[i] != 0 && limits_ns[i] / TICKS < keeper->tick_ns)
            keeper->tick_ns = limits_ns[i] / TICKS;
    if (keeper->tick_ns < SKUA_MS)
        keeper->tick_ns = SKUA_MS;
    for (int i = 0; i < STAGES; i++)
        keeper->limits[i] = (uint32_t)((limits_ns[i] + keeper->tick_ns - 1) / keeper->tick_ns);
}

bool keeper_enter(struct keeper *keeper, struct kept *kept, int fd, uint32_t most)
{
    kept->waker = skua_waker_self();
    kept->fd = fd;
    atomic_init(&kept->has_timed_out, false);
    atomic_init(&kept->mark, 0);
    keeper_mark(keeper, kept, STAGE_IDLE);
    skua_mutex_lock_shielded(&keeper->lock);
    bool is_welcome = keeper->count < most;
    if (is_welcome) {
        kept->next = keeper->first;
        kept->at = &keeper->first;
        if (kept->next != NULL)
            kept->next->at = &kept->next;
        keeper->first = kept;
        keeper->count++;
        keeper->connections++;
    }
    bool is_first = is_welcome && keeper->count == 1;
    skua_mutex_unlock(&keeper->lock);
    if (is_first)
        skua_notify_one(&keeper->came);
    return is_welcome;
}

void keeper_leave(struct keeper *keeper, struct kept *kept, uint64_t requests)
{
    skua_mutex_lock_shielded(&keeper->lock);
    *kept->at = kept->next;
    if (kept->next != NULL)
        kept->next->at = kept->at;
    keeper->requests += requests;
    bool is_last = --keeper->count == 0;
    skua_mutex_unlock(&keeper->lock);
    if (is_last)
        skua_notify_one(&keeper->left);
}

/* ---- time-outs -------------------------------------------------------------------------------------------------- */

/* With the lock: so the descriptor is open. */
static void end_one_locked(struct keeper *keeper, struct kept *kept, enum stage stage)
{
    if (!atomic_exchange_explicit(&kept->has_timed_out, true, memory_order_relaxed))
        keeper->timeouts++;
    if (kept->fd >= 0)
        (void)shutdown(kept->fd, stage == STAGE_WRITE ? SHUT_RDWR : SHUT_RD);
}

static void look(struct keeper *keeper)
{
    uint32_t tick = atomic_fetch_add_explicit(&keeper->tick, 1, memory_order_relaxed) + 1;
    skua_mutex_lock_shielded(&keeper->lock);
    for (struct kept *kept = keeper->first; kept != NULL; kept = kept->next) {
        uint32_t mark = atomic_load_explicit(&kept->mark, memory_order_relaxed);
        enum stage stage = stage_of(mark);
        uint32_t age = ((tick << MARK_STAGE_BITS) - (mark & ~((1u << MARK_STAGE_BITS) - 1))) >> MARK_STAGE_BITS;
        if (keeper->limits[stage] != 0 && age > keeper->limits[stage])
            end_one_locked(keeper, kept, stage);
    }
    skua_mutex_unlock(&keeper->lock);
}

static bool is_empty(struct keeper *keeper)
{
    skua_mutex_lock_shielded(&keeper->lock);
    bool empty = keeper->count == 0;
    skua_mutex_unlock(&keeper->lock);
    return empty;
}

int keeper_run(void *arg)
{
    struct keeper *keeper = arg;
    for (;;) {
        int rc = is_empty(keeper) ? skua_notify_wait(&keeper->came) : skua_sleep(keeper->tick_ns);
        if (rc < 0)
            return 0;
        look(keeper);
    }
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

/* Those that wait for a request find the end, behind a request that the kernel has already. */
static void end_idle(struct keeper *keeper)
{
    skua_mutex_lock_shielded(&keeper->lock);
    for (struct kept *kept = keeper->first; kept != NULL; kept = kept->next)
        if (stage_of(atomic_load_explicit(&kept->mark, memory_order_relaxed)) == STAGE_IDLE && kept->fd >= 0)
            (void)shutdown(kept->fd, SHUT_RD);
    skua_mutex_unlock(&keeper->lock);
}

static void cancel_all(struct keeper *keeper)
{
    skua_mutex_lock_shielded(&keeper->lock);
    for (struct kept *kept = keeper->first; kept != NULL; kept = kept->next)
        skua_waker_cancel(kept->waker);
    skua_mutex_unlock(&keeper->lock);
}

void keeper_stop(struct keeper *keeper, uint64_t instant_ns)
{
    atomic_store_explicit(&keeper->is_stopping, true, memory_order_relaxed);
    bool late = false;
    while (!is_empty(keeper)) {
        /* Again and again: one that was about to become idle may have missed the flag, and we its mark. */
        end_idle(keeper);
        uint64_t soon = skua_after(10 * SKUA_MS);
        (void)skua_notify_wait_until(&keeper->left, late || soon < instant_ns ? soon : instant_ns);
        if (!late && skua_now() >= instant_ns) {
            late = true;
            cancel_all(keeper);
        }
    }
}
