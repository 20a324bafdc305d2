/* Wait groups. One word: count << 1 | WAITED.
 *
 *   A1 count    anybody, by compare-and-swap, but for the step from 1 to 0 while WAITED is set
 *   A2 last     that step is taken under the lock: it clears WAITED, and all who wait are claimed
 *   A3 wait     under the lock: the count is not 0, so WAITED is set, and the waiter linked. Without the lock a count
 *               of 0 is enough, once whoever has made it so has left the lock: then the group may go
 *               (skuai_lock_pass())
 * Who is yet to come under the lock for A2 is himself still counted, so nobody goes on, and frees the group, before
 * him. Model: tests/model/model_wait_group.c.
 */
#include "skua/wait_group.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum { WAITED = 1, SHIFT = 1 };
static const uint64_t one = 1u << SHIFT;

static struct skuai_lock *lock_of(skua_wait_group *group) { return skuai_lock_at(&group->lock); }
static uint64_t count_in(uint64_t word) { return word >> SHIFT; }

void skua_wait_group_init(skua_wait_group *group, uint64_t count)
{
    *group = (skua_wait_group)SKUA_WAIT_GROUP_INIT(0);
    skua_wait_group_add(group, count);
}

uint64_t skua_wait_group_count(const skua_wait_group *group)
{
    return count_in(skuai_load_64(&group->word, SKUAI_RELAXED)); /* a number, with nothing behind it */
}

void skua_wait_group_add(skua_wait_group *group, uint64_t count)
{
    uint64_t word = skuai_load_64(&group->word, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (count > SKUA_WAIT_GROUP_MAX - count_in(word)) {
            skuai_misuse("skua_wait_group_add", "would have made more than SKUA_WAIT_GROUP_MAX", "add fewer");
            return;
        }
        /* Relaxed: who is done later has his own release. */
    } while (!skuai_cas_64(&group->word, &word, word + (count << SHIFT), SKUAI_RELAXED));
}

enum outcome { COUNTED, LAST, WANTS_LOCK, NONE_LEFT };

/* A1; with the lock also A2. */
static enum outcome count_down(skua_wait_group *group, bool is_locked)
{
    uint64_t word = skuai_load_64(&group->word, SKUAI_RELAXED); /* the exchange decides */
    bool is_last;
    do {
        if (count_in(word) == 0)
            return NONE_LEFT;
        is_last = word == (one | WAITED);
        if (is_last && !is_locked)
            return WANTS_LOCK;
        /* Release: what was done before is seen by who acquires the 0, whoever counts down after us. Acquire: the last
         * hands on what all before him did, by his waiters' DONE. */
    } while (!skuai_cas_64(&group->word, &word, is_last ? 0 : word - one, SKUAI_ACQ_REL));
    return is_last ? LAST : COUNTED;
}

void skua_wait_group_done(skua_wait_group *group)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    enum outcome outcome = count_down(group, false);
    if (SKUAI_UNLIKELY(outcome == WANTS_LOCK)) {
        skuai_lock_acquire(lock_of(group));
        outcome = count_down(group, true);
        while (outcome == LAST && (op = skuai_waiters_claim(&group->waiters)) != NULL)
            skuai_fires_add(&fires, op, 0);
        skuai_lock_release(lock_of(group));
        skuai_fires_finish(&fires);
    }
    if (SKUAI_UNLIKELY(outcome == NONE_LEFT))
        skuai_misuse("skua_wait_group_done", "was called more often than was added", "add before it can be done");
}

static bool withdraw(skua_op *op)
{
    skua_wait_group *group = op->owner;
    return skuai_waiters_withdraw(lock_of(group), &group->waiters, op); /* WAITED stays: the last then finds nobody */
}

/* A3, under the lock: false if the count is 0. */
static bool set_waited(skua_wait_group *group)
{
    uint64_t word = skuai_load_64(&group->word, SKUAI_ACQUIRE); /* of count_down's release */
    /* No model test needs the check: what is set is not exchanged. */
    do {
        if (count_in(word) == 0)
            return false;
    } while ((word & WAITED) == 0 && !skuai_cas_64(&group->word, &word, word | WAITED, SKUAI_ACQUIRE)); /* likewise */
    return true;
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_wait_group *group = op->owner;
    bool is_done = false;
    skuai_lock_acquire(lock_of(group));
    if (!set_waited(group)) {
        is_done = skuai_op_claim_own(op);
    } else if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&group->waiters, op);
    }
    skuai_lock_release(lock_of(group));
    if (is_done)
        skuai_op_set_done(op, 0);
}

static const struct skuai_op_kind kind = { .name = "skua_wait_group_wait", .start = start, .withdraw = withdraw };

skua_op *skua_wait_group_wait_prepare(skua_op *op, skua_wait_group *group)
{
    return skuai_op_prepare(op, &kind, group);
}
skua_op *skua_wait_group_wait_start(skua_op *op, skua_wait_group *group)
{
    return skuai_op_start(skua_wait_group_wait_prepare(op, group));
}

int skua_wait_group_try_wait(skua_wait_group *group)
{
    if (count_in(skuai_load_64(&group->word, SKUAI_ACQUIRE)) != 0) /* pairs with count_down's release */
        return -EAGAIN;
    skuai_lock_pass(lock_of(group));
    return 0;
}

int skua_wait_group_wait(skua_wait_group *group)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (skua_wait_group_try_wait(group) == 0)
        return (int)skuai_call_end(worker, 0);
    skua_op op;
    return (int)skuai_call(skua_wait_group_wait_prepare(&op, group));
}

int skua_wait_group_wait_until(skua_wait_group *group, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_wait_group_wait_prepare(&op, group), instant_ns);
}
