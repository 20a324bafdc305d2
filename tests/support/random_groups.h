/* Random trees of groups with exact accounts: what the simulation runs under thousands of seeds and the stress tests on
 * many real workers.
 *
 * A member starts members, in groups of its own and in the one that it is in; fails, cancels, is cancelled, has
 * deadlines and tokens; waits in each way there is, or leaves without. After each wait nothing of that group is alive:
 * as many of its members have ended as were started, and each that was started has begun.
 */
#ifndef TEST_RANDOM_GROUPS_H
#define TEST_RANDOM_GROUPS_H

#include <errno.h>

#include "skua/cancel_token.h"
#include "skua/gather.h"
#include "skua/group.h"
#include "support/with_runtime.h"

struct random_groups {
    int64_t started, begun, ended, refused; /* __atomic */
    int64_t failures, cancellations, timeouts, waits; /* outcomes of waits, to see that all kinds come */
};

/* A group and what was started in it. */
struct random_group {
    skua_group group;
    int64_t started, begun, ended; /* __atomic */
};

struct random_member {
    struct random_groups *all;
    struct random_group *in;
    uint64_t random;
    int depth;
};

enum { RANDOM_FAILURE = -77 };

static inline void count_up(int64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }
static inline uint32_t draw_of(struct random_member *self, uint32_t below)
{
    return (uint32_t)(test_rand(&self->random) % below);
}

static inline void member_begins(struct random_groups *all, struct random_group *in)
{
    count_up(&all->begun);
    count_up(&in->begun);
}
static inline void member_ends(struct random_groups *all, struct random_group *in)
{
    count_up(&all->ended);
    count_up(&in->ended);
}

/* A leaf as a future; `kind` as in random_leaf_run(). */
struct random_leaf_future {
    SKUA_FRAME;
    struct {
        struct random_groups *all;
        struct random_group *in;
        uint64_t pause_ns;
        int64_t result;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC_BODY(random_leaf_future, static inline)
{
    SKUA_BEGIN(self);
    member_begins(self->in.all, self->in.in);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.pause_ns));
    member_ends(self->in.all, self->in.in);
    SKUA_END(self->sleep.result < 0 ? self->sleep.result : self->in.result);
}

/* A future with a group of leaves. */
struct random_group_future {
    SKUA_FRAME;
    struct {
        struct random_groups *all;
        struct random_group *in;
        uint64_t random;
    } in;
    struct random_group own;
    skua_group_waiting waiting;
    skua_scope scope;
    bool is_limited;
    int i, n;
};
static inline int start_leaf_future(struct random_groups *all, struct random_group *in, uint64_t pause_ns,
                                    int64_t result)
{
    count_up(&all->started);
    count_up(&in->started);
    int rc = SKUA_GROUP_GO(&in->group, random_leaf_future, .all = all, .in = in, .pause_ns = pause_ns,
                           .result = result);
    if (rc < 0) {
        __atomic_fetch_sub(&all->started, 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&in->started, 1, __ATOMIC_RELAXED);
        count_up(&all->refused);
    }
    return rc;
}
static inline void check_group_is_over(struct random_groups *all, struct random_group *own, int64_t outcome)
{
    skua_group_counts counts;
    skua_group_count(&own->group, &counts);
    CHECK_EQ(counts.live, 0);
    CHECK(!counts.is_canceled);
    CHECK_EQ(__atomic_load_n(&own->started, __ATOMIC_RELAXED), __atomic_load_n(&own->begun, __ATOMIC_RELAXED));
    CHECK_EQ(__atomic_load_n(&own->started, __ATOMIC_RELAXED), __atomic_load_n(&own->ended, __ATOMIC_RELAXED));
    count_up(outcome == -ECANCELED   ? &all->cancellations
             : outcome == -ETIMEDOUT ? &all->timeouts
             : outcome < 0           ? &all->failures
                                     : &all->waits);
}
SKUA_ASYNC_BODY(random_group_future, static inline)
{
    SKUA_BEGIN(self);
    member_begins(self->in.all, self->in.in);
    self->own.started = self->own.begun = self->own.ended = 0;
    skua_group_init(&self->own.group);
    self->n = 1 + (int)(test_rand(&self->in.random) % 4);
    for (self->i = 0; self->i < self->n; self->i++) {
        uint64_t random = test_rand(&self->in.random);
        (void)start_leaf_future(self->in.all, &self->own, random % 7 == 0 ? 1000 * SKUA_S : random % 9 * 1000,
                                random % 11 == 0 ? RANDOM_FAILURE : 0);
    }
    self->is_limited = test_rand(&self->in.random) % 2 == 0;
    if (self->is_limited)
        skua_deadline_enter(&self->scope, skua_after(test_rand(&self->in.random) % 10000));
    SKUA_AWAIT(skua_group_wait_start(&self->waiting, &self->own.group));
    if (self->is_limited)
        skua_scope_leave(&self->scope);
    check_group_is_over(self->in.all, &self->own, SKUA_RESULT(&self->waiting));
    member_ends(self->in.all, self->in.in);
    SKUA_END(SKUA_RESULT(&self->waiting) == -ETIMEDOUT ? 0 : SKUA_RESULT(&self->waiting));
}

static inline int random_member_fiber(void *arg);

/* Whatever it is: 0, or why it was refused. */
static inline int start_random(struct random_member *self, struct random_group *in, int depth)
{
    uint32_t kind = draw_of(self, 8);
    int rc;
    if (kind == 0)
        return start_leaf_future(self->all, in, draw_of(self, 10) * 1000, draw_of(self, 12) == 0 ? RANDOM_FAILURE : 3);
    count_up(&self->all->started);
    count_up(&in->started);
    if (kind == 1) {
        rc = SKUA_GROUP_GO(&in->group, random_group_future, .all = self->all, .in = in,
                           .random = test_rand(&self->random));
    } else {
        struct random_member *child = malloc(sizeof *child);
        CHECK(child != NULL);
        *child = (struct random_member){ self->all, in, test_rand(&self->random), depth };
        skua_member_attr attr = { .flags = draw_of(self, 4) == 0 ? SKUA_MEMBER_TRY : 0 };
        rc = skua_group_go_with(&in->group, &attr, random_member_fiber, child);
        if (rc < 0)
            free(child);
    }
    if (rc < 0) {
        CHECK(rc == -ECANCELED || rc == -ETIMEDOUT || rc == -EAGAIN);
        __atomic_fetch_sub(&self->all->started, 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&in->started, 1, __ATOMIC_RELAXED);
        count_up(&self->all->refused);
    }
    return rc;
}

static inline int random_leaf_run(struct random_member *self)
{
    switch (draw_of(self, 10)) {
    case 0:
        return RANDOM_FAILURE;
    case 1:
        return skua_sleep(1000 * SKUA_S); /* until it is cancelled */
    case 2: {
        SKUA_SHIELD();
        return skua_sleep(draw_of(self, 5) * 1000);
    }
    case 3:
        for (int i = 0; i < 3; i++)
            if (skua_yield() < 0)
                return -ECANCELED;
        return 0;
    case 4:
        if (draw_of(self, 3) == 0)
            skua_group_cancel(&self->in->group);
        return 0;
    case 5: {
        SKUA_DEADLINE(draw_of(self, 5) * 1000);
        (void)skua_sleep(draw_of(self, 5) * 1000);
        return 0;
    }
    default:
        return skua_sleep(draw_of(self, 20) * 1000) < 0 ? -ECANCELED : 1;
    }
}

static inline int64_t wait_somehow(struct random_member *self, struct random_group *own, bool collects)
{
    skua_group *group = &own->group;
    skua_group_result result;
    uint32_t how = draw_of(self, 6);
    if (collects && how < 4) {
        int64_t taken = 0;
        int rc;
        while ((rc = how < 2 ? skua_group_next(group, &result)
                             : skua_group_next_until(group, &result, skua_after(5000))) == 1)
            taken++;
        if (rc == 0)
            CHECK_EQ(taken, __atomic_load_n(&own->started, __ATOMIC_RELAXED));
        else if (rc == -ETIMEDOUT)
            skua_group_cancel(group);
    }
    if (how == 4) { /* an arm; what loses has no effect */
        skua_group_op end;
        skua_sleep_op nap;
        skua_op *arms[] = { skua_group_idle_prepare(&end, group), skua_sleep_prepare(&nap, draw_of(self, 10) * 1000) };
        int64_t arm = skua_select(arms, 2);
        if (arm == 0)
            return end.value;
    }
    if (how == 5)
        return skua_group_wait_until(group, skua_after(draw_of(self, 20) * 1000));
    return skua_group_wait(group);
}

/* Some members, and a wait, once or twice. */
static inline int64_t run_random_group(struct random_member *self)
{
    int64_t outcome = 0;
    bool collects = draw_of(self, 3) == 0;
    skua_group_attr attr = { .limit = draw_of(self, 4) == 0 ? 1 + draw_of(self, 3) : 0,
                             .flags = (draw_of(self, 3) == 0 ? SKUA_GROUP_KEEP_GOING : 0) |
                                      (collects ? SKUA_GROUP_COLLECT : 0) };
    struct random_group own = { .started = 0 };
    skua_cancel_token token;
    skua_cancel_binding binding;
    skua_cancel_token_init(&token, NULL);
    skua_group_init_with(&own.group, &attr);
    (void)skua_group_bind(&own.group, &binding, &token);
    for (uint32_t round = 0; round <= draw_of(self, 2); round++) {
        own.started = own.begun = own.ended = 0;
        uint32_t n = draw_of(self, 6);
        for (uint32_t i = 0; i < n; i++)
            (void)start_random(self, &own, self->depth - 1);
        if (draw_of(self, 8) == 0)
            skua_cancel_token_cancel(&token);
        outcome = wait_somehow(self, &own, collects);
        check_group_is_over(self->all, &own, outcome);
    }
    skua_cancel_token_unbind(&binding);
    skua_cancel_token_fini(&token);
    skua_group_fini(&own.group);
    return outcome;
}

/* A block that is left without a wait. */
static inline void leave_random_block(struct random_member *self)
{
    struct random_group own = { .started = 0 };
    skua_group_init(&own.group);
    for (uint32_t i = 0; i < 3; i++)
        (void)start_random(self, &own, self->depth - 1);
    skuai_group_leave(&own.group);
    check_group_is_over(self->all, &own, -ECANCELED);
}

static inline int gathered(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int rc = skua_sleep(random % 8 * 1000);
    return rc < 0 ? rc : random % 9 == 0 ? RANDOM_FAILURE : 1;
}

static inline void gather_random(struct random_member *self)
{
    skua_call calls[5];
    skua_gather_attr attr = { .limit = draw_of(self, 4) };
    for (int i = 0; i < 5; i++)
        calls[i] = (skua_call){ .fn = gathered, .arg = (void *)(uintptr_t)draw_of(self, 1000), .result = INT64_MAX };
    switch (draw_of(self, 4)) {
    case 0: (void)skua_gather(calls, 5, &attr); break;
    case 1: (void)skua_gather_race(calls, 5, &attr); break;
    case 2: (void)skua_gather_any(calls, 5, &attr); break;
    default: (void)skua_gather_settled(calls, 5, &attr); break;
    }
    for (int i = 0; i < 5; i++)
        CHECK(calls[i].result != INT64_MAX);
}

static inline int random_member_run(struct random_member *self)
{
    if (self->depth == 0)
        return random_leaf_run(self);
    if (draw_of(self, 4) == 0)
        (void)start_random(self, self->in, self->depth - 1); /* beside it */
    if (draw_of(self, 10) == 0)
        gather_random(self);
    if (draw_of(self, 8) == 0)
        leave_random_block(self);
    SKUA_DEADLINE(draw_of(self, 4) == 0 ? draw_of(self, 30) * 1000 : SKUA_NEVER);
    int64_t outcome = run_random_group(self);
    return draw_of(self, 2) == 0 ? 0 : (int)outcome;
}

static inline int random_member_fiber(void *arg)
{
    struct random_member *self = arg;
    struct random_groups *all = self->all;
    struct random_group *in = self->in;
    member_begins(all, in);
    int result = random_member_run(self);
    free(self);
    member_ends(all, in);
    return result;
}

/* The whole tree is given up in the end, if it does not end by itself. */
static inline int random_groups_root(void *arg)
{
    struct random_member *self = arg;
    struct random_group own = { .started = 0 };
    skua_group_init(&own.group);
    for (int i = 0; i < 4; i++)
        (void)start_random(self, &own, self->depth);
    int64_t outcome = skua_group_wait_until(&own.group, skua_after(200 * SKUA_US));
    check_group_is_over(self->all, &own, outcome);
    skua_group_fini(&own.group);
    return 0;
}

static inline void check_random_groups(const struct random_groups *all)
{
    CHECK_EQ(all->started, all->begun);
    CHECK_EQ(all->started, all->ended);
}

#endif
