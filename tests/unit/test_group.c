/* Groups: failing together, ending together, in fibers, futures and plain threads. */
#include <errno.h>
#include <pthread.h>

#include "skua/group.h"
#include "support/with_runtime.h"

struct account { /* __atomic */
    int begun, ended;
};
static struct account account;
static void begin(void) { __atomic_fetch_add(&account.begun, 1, __ATOMIC_RELAXED); }
static void end(void) { __atomic_fetch_add(&account.ended, 1, __ATOMIC_RELAXED); }
static void check_account(int expected)
{
    CHECK_EQ(__atomic_load_n(&account.begun, __ATOMIC_RELAXED), expected);
    CHECK_EQ(__atomic_load_n(&account.ended, __ATOMIC_RELAXED), expected);
    account = (struct account){ 0, 0 };
}

static int trivial(void *arg)
{
    begin();
    end();
    return (int)(intptr_t)arg;
}
static int sleeps(void *arg) /* µs; its result is what ended it */
{
    begin();
    int rc = skua_sleep((uint64_t)(intptr_t)arg * SKUA_US);
    end();
    return rc;
}
static int sleeps_long(void *arg)
{
    (void)arg;
    begin();
    int rc = skua_sleep(100 * SKUA_S);
    end();
    return rc;
}
static int fails_late(void *arg)
{
    begin();
    (void)skua_sleep(100 * SKUA_US);
    end();
    return (int)(intptr_t)arg;
}
static void *as_arg(intptr_t value) { return (void *)value; } // NOLINT

struct short_future {
    SKUA_FRAME;
    struct {
        uint64_t pause_ns;
        int64_t result;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(short_future)
{
    SKUA_BEGIN(self);
    begin();
    if (self->in.pause_ns != 0) {
        SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.pause_ns));
        if (self->sleep.result < 0) {
            end();
            SKUA_RETURN(self->sleep.result);
        }
    }
    end();
    SKUA_END(self->in.result);
}

struct large_future {
    SKUA_FRAME;
    struct {
        int64_t result;
    } in;
    char room[5000];
};
SKUA_ASYNC(large_future)
{
    SKUA_BEGIN(self);
    begin();
    SKUA_YIELD();
    end();
    SKUA_END(self->in.result);
}

/* ---- all end, and the group is as new -------------------------------------------------------------------------- */

static int waits(void *arg)
{
    (void)arg;
    skua_group g;
    skua_group_counts counts;
    skua_group_init(&g);
    CHECK_EQ(skua_group_wait(&g), 0); /* nobody */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            CHECK_OK(skua_group_go(&g, trivial, as_arg(i)));
            CHECK_OK(skua_group_go(&g, sleeps, as_arg(i)));
            CHECK_OK(SKUA_GROUP_GO(&g, short_future, .pause_ns = 0, .result = 3));
            CHECK_OK(SKUA_GROUP_GO(&g, short_future, .pause_ns = 1000, .result = 3));
            CHECK_OK(SKUA_GROUP_GO(&g, large_future, .result = 5));
        }
        CHECK_EQ(skua_group_wait(&g), 0);
        check_account(100);
        skua_group_count(&g, &counts);
        CHECK_EQ(counts.started, 100);
        CHECK_EQ(counts.live, 0);
        CHECK_EQ(counts.failed, 0);
        CHECK_EQ(skua_group_wait(&g), 0);
    }
    CHECK_EQ(skua_group_try_wait(&g), 0);
    CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_EQ(skua_group_try_wait(&g), -EAGAIN);
    skua_group_cancel(&g);
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    skua_group_fini(&g);
    check_account(1);
    return 0;
}
TEST(a_wait_is_for_all) { run_everywhere(waits, NULL); }

/* ---- failures -------------------------------------------------------------------------------------------------- */

static int fails(void *arg)
{
    (void)arg;
    skua_group g;
    skua_group_counts counts;
    skua_group_init(&g);
    for (int i = 0; i < 100; i++)
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    for (int i = 0; i < 5; i++)
        CHECK_OK(SKUA_GROUP_GO(&g, short_future, .pause_ns = 100 * SKUA_S));
    CHECK_OK(skua_group_go(&g, fails_late, as_arg(-EIO)));
    CHECK_EQ(skua_group_wait(&g), -EIO);
    check_account(106);
    skua_group_count(&g, &counts);
    CHECK_EQ(counts.started, 106);
    CHECK_EQ(counts.failed, 1);
    CHECK_EQ(counts.canceled, 105);
    CHECK_EQ(counts.error, -EIO);
    CHECK(!counts.is_canceled);
    CHECK_EQ(skua_group_wait(&g), 0); /* told once */

    CHECK_OK(skua_group_go(&g, trivial, as_arg(-1))); /* fails at once; no more is started */
    int rc;
    while ((rc = skua_group_go(&g, sleeps_long, NULL)) == 0)
        (void)skua_yield();
    CHECK_EQ(rc, -ECANCELED);
    CHECK_EQ(SKUA_GROUP_GO(&g, short_future, .result = 0), -ECANCELED);
    CHECK_EQ(skua_group_wait(&g), -1);
    CHECK_EQ(account.begun, account.ended);
    account = (struct account){ 0, 0 };

    CHECK_OK(SKUA_GROUP_GO(&g, short_future, .result = INT64_MIN)); /* whatever the result is */
    CHECK_EQ(skua_group_wait(&g), INT64_MIN);
    CHECK_OK(skua_group_go(&g, trivial, NULL));
    CHECK_EQ(skua_group_wait(&g), 0);
    check_account(2);
    skua_group_fini(&g);
    return 0;
}
TEST(the_first_failure_cancels_the_others) { run_everywhere(fails, NULL); }

static int keeps_going(void *arg)
{
    (void)arg;
    skua_group_attr attr = { .flags = SKUA_GROUP_KEEP_GOING };
    skua_group_counts counts;
    SKUA_GROUP_WITH(g, &attr);
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_group_go(&g, fails_late, as_arg(-i)));
    CHECK_OK(skua_group_go(&g, sleeps, as_arg(1000)));
    int64_t rc = skua_group_wait(&g);
    CHECK(rc < 0 && rc > -10);
    check_account(11);
    skua_group_count(&g, &counts);
    CHECK_EQ(counts.failed, 9);
    CHECK_EQ(counts.canceled, 0);
    return 0;
}
TEST(failures_that_cancel_nobody) { run_everywhere(keeps_going, NULL); }

static int cancels_group(void *arg)
{
    begin();
    (void)skua_sleep(50 * SKUA_US);
    skua_group_cancel(arg);
    end();
    return 0;
}

static int canceled(void *arg)
{
    (void)arg;
    skua_group g;
    skua_group_init(&g);
    for (int i = 0; i < 70; i++)
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_OK(skua_group_go(&g, cancels_group, &g)); /* a member */
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    check_account(71);
    skua_group_cancel(&g); /* nobody is in it: until a wait nobody comes in */
    CHECK_EQ(skua_group_go(&g, trivial, NULL), -ECANCELED);
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    CHECK_OK(skua_group_go(&g, trivial, NULL));
    skua_group_cancel(&g); /* before it has begun, maybe: it begins all the same */
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    check_account(1);
    CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_OK(skua_group_go(&g, fails_late, as_arg(-EIO))); /* what is no cancellation counts more */
    skua_group_cancel(&g);
    CHECK_EQ(skua_group_wait(&g), -EIO);
    check_account(2);
    return 0;
}
TEST(a_group_is_cancelled) { run_everywhere(canceled, NULL); }

/* ---- waits that are interrupted -------------------------------------------------------------------------------- */

static int waits_for_long(void *arg)
{
    (void)arg;
    SKUA_GROUP(g);
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    CHECK_EQ(skua_group_wait(&g), -ECANCELED); /* as any await */
    CHECK_OK(skua_group_go(&g, trivial, NULL)); /* no await */
    return 0;
}

static int interrupted(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result;
    CHECK_OK(skua_spawn(&task, waits_for_long, NULL));
    (void)skua_sleep(100 * SKUA_US);
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    check_account(11);

    SKUA_GROUP(g);
    CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_EQ(skua_group_wait_until(&g, skua_after(100 * SKUA_US)), -ETIMEDOUT);
    check_account(1);
    {
        SKUA_DEADLINE(100 * SKUA_US);
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
        CHECK_EQ(skua_group_wait(&g), -ETIMEDOUT);
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
        CHECK_EQ(skua_group_wait(&g), -ETIMEDOUT); /* at its beginning: likewise */
    }
    check_account(2);
    CHECK_OK(skua_group_go(&g, sleeps, as_arg(100)));
    CHECK_EQ(skua_group_wait_until(&g, skua_after(100 * SKUA_S)), 0);
    check_account(1);
    return 0;
}
TEST(an_interrupted_wait_waits_all_the_same) { run_everywhere(interrupted, NULL); }

static int nested_member(void *arg)
{
    int depth = (int)(intptr_t)arg;
    begin();
    SKUA_GROUP(g);
    if (depth == 0) {
        int rc = skua_sleep(100 * SKUA_S);
        end();
        return rc;
    }
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = skua_group_go(&g, nested_member, as_arg(depth - 1));
    rc = rc < 0 ? rc : (int)skua_group_wait(&g);
    end();
    return rc;
}

static int nested(void *arg)
{
    (void)arg;
    SKUA_GROUP(g);
    CHECK_OK(skua_group_go(&g, nested_member, as_arg(4)));
    CHECK_EQ(skua_group_wait_until(&g, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(account.begun, account.ended);
    account = (struct account){ 0, 0 };
    return 0;
}
TEST(a_cancellation_goes_down_a_tree_of_groups) { run_everywhere(nested, NULL); }

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

static int leaves(int how)
{
    for (;;) {
        SKUA_GROUP(g);
        for (int i = 0; i < 5; i++)
            CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
        if (how == 0)
            return 7;
        if (how == 1)
            break;
        CHECK_EQ(skua_group_wait_until(&g, skua_after(1000)), -ETIMEDOUT);
        return 7;
    }
    return 7;
}

static int leaves_block(void *arg)
{
    (void)arg;
    for (int how = 0; how < 3; how++) {
        CHECK_EQ(leaves(how), 7);
        check_account(5);
    }
    return 0;
}
TEST(a_block_that_is_left_early) { run_everywhere(leaves_block, NULL); }

/* ---- members start members -------------------------------------------------------------------------------------- */

struct tree {
    skua_group *group;
    int depth;
};
static int grows(void *arg)
{
    struct tree *tree = arg;
    begin();
    for (int i = 0; i < 2 && tree->depth > 0; i++) {
        struct tree *child = malloc(sizeof *child);
        CHECK(child != NULL);
        *child = (struct tree){ tree->group, tree->depth - 1 };
        CHECK_OK(skua_group_go(tree->group, grows, child));
    }
    free(tree);
    end();
    return 0;
}

static int waits_for_own(void *arg)
{
    CHECK_EQ(skua_group_wait(arg), -EDEADLK);
    skua_group_op op;
    CHECK_EQ(skua_await(skua_group_idle_start(&op, arg)), -EDEADLK);
    return 0;
}

static int members_start_members(void *arg)
{
    (void)arg;
    SKUA_GROUP(g);
    struct tree *tree = malloc(sizeof *tree);
    CHECK(tree != NULL);
    *tree = (struct tree){ &g, 9 };
    CHECK_OK(skua_group_go(&g, grows, tree));
    CHECK_EQ(skua_group_wait(&g), 0);
    check_account(1023);
    CHECK_OK(skua_group_go(&g, waits_for_own, &g));
    CHECK_EQ(skua_group_wait(&g), 0);
    return 0;
}
TEST(members_start_further_members) { run_everywhere(members_start_members, NULL); }

/* ---- results in the order of the ends -------------------------------------------------------------------------- */

static int collects(void *arg)
{
    (void)arg;
    skua_group_attr attr = { .flags = SKUA_GROUP_COLLECT };
    skua_group_result result;
    skua_group plain, g;
    skua_group_init(&plain);
    CHECK_EQ(skua_group_next(&plain, &result), -EINVAL);
    CHECK_EQ(skua_group_try_next(&plain, &result), -EINVAL);
    skua_group_init_with(&g, &attr);
    CHECK_EQ(skua_group_next(&g, &result), 0);
    CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_EQ(skua_group_try_next(&g, &result), -EAGAIN);
    CHECK_EQ(skua_group_next_until(&g, &result, skua_after(SKUA_US)), -ETIMEDOUT);
    skua_group_cancel(&g);
    CHECK_EQ(skua_group_next_until(&g, &result, skua_after(100 * SKUA_S)), 1);
    CHECK_EQ(result.value, -ECANCELED);
    CHECK_EQ(result.tag, 0);
    CHECK_EQ(skua_group_try_next(&g, &result), 0);
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    for (int i = 0; i < 8; i++)
        CHECK_OK(SKUA_GROUP_GO(&g, short_future, .pause_ns = (uint64_t)(8 - i) * 500 * SKUA_US, .result = 100 + i));
    uint64_t seen = 0;
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(skua_group_next(&g, &result), 1);
        CHECK_EQ(result.value, 100 + (int64_t)result.tag);
        seen |= UINT64_C(1) << result.tag;
    }
    CHECK_EQ(seen, 255);
    CHECK_EQ(skua_group_next(&g, &result), 0);
    CHECK_EQ(skua_group_wait(&g), 0);
    check_account(9);

    skua_member_attr tagged = { .tag = 77, .flags = SKUA_MEMBER_TAGGED };
    CHECK_OK(skua_group_go_with(&g, &tagged, fails_late, as_arg(-5)));
    CHECK_EQ(skua_group_next(&g, &result), 1);
    CHECK_EQ(result.tag, 77);
    CHECK_EQ(result.value, -5);
    CHECK_EQ(skua_group_next(&g, &result), 0);
    CHECK_EQ(skua_group_wait(&g), -5);

    for (int i = 0; i < 30; i++) /* what nobody takes */
        CHECK_OK(skua_group_go(&g, sleeps, as_arg(i)));
    CHECK_EQ(skua_group_next(&g, &result), 1);
    CHECK_EQ(skua_group_wait(&g), 0);
    CHECK_EQ(skua_group_next(&g, &result), 0);
    for (int i = 0; i < 30; i++)
        CHECK_OK(SKUA_GROUP_GO(&g, large_future, .result = i));
    while (skua_group_next(&g, &result) == 1 && result.tag != 5)
        ;
    CHECK_EQ(result.value, 5);
    skua_group_counts counts;
    do {
        (void)skua_yield();
        skua_group_count(&g, &counts);
    } while (counts.live != 0);
    skua_group_fini(&g); /* with results in it */
    check_account(61);
    return 0;
}
TEST(results_in_the_order_of_the_ends) { run_everywhere(collects, NULL); }

struct takers {
    skua_group group;
    int64_t sum, count;
};
static int takes(void *arg)
{
    struct takers *t = arg;
    skua_group_result result;
    int rc;
    while ((rc = skua_group_next(&t->group, &result)) == 1) {
        __atomic_fetch_add(&t->sum, result.value, __ATOMIC_RELAXED);
        __atomic_fetch_add(&t->count, 1, __ATOMIC_RELAXED);
    }
    CHECK_EQ(rc, 0);
    return 0;
}

static int many_takers(void *arg)
{
    (void)arg;
    struct takers t = { .sum = 0 };
    skua_group_attr attr = { .flags = SKUA_GROUP_COLLECT };
    int n = (int)test_scaled(300);
    skua_group_init_with(&t.group, &attr);
    SKUA_GROUP(takers);
    for (int i = 0; i < n; i++) {
        CHECK_OK(skua_group_go(&t.group, i % 3 == 0 ? sleeps : trivial, as_arg(i % 3 == 0 ? i : 1)));
        if (i < 4)
            CHECK_OK(skua_group_go(&takers, takes, &t));
    }
    CHECK_EQ(skua_group_wait(&takers), 0);
    int64_t drawn = t.count;
    CHECK(drawn <= n); /* takers leave when the group is empty, which it may have been for a moment */
    takes(&t);
    CHECK_EQ(t.count, n);
    CHECK_EQ(skua_group_wait(&t.group), 0);
    check_account(n);
    return 0;
}
TEST(each_result_is_taken_once) { run_everywhere(many_takers, NULL); }

/* ---- places ---------------------------------------------------------------------------------------------------- */

struct crowd {
    int now, most; /* __atomic */
};
static struct crowd crowd;
static int crowds(void *arg)
{
    int now = __atomic_add_fetch(&crowd.now, 1, __ATOMIC_RELAXED);
    int most = __atomic_load_n(&crowd.most, __ATOMIC_RELAXED);
    while (now > most && !__atomic_compare_exchange_n(&crowd.most, &most, now, false, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED))
        ;
    if ((intptr_t)arg % 2 == 0)
        (void)skua_sleep(20 * SKUA_US);
    else
        (void)skua_yield();
    __atomic_fetch_sub(&crowd.now, 1, __ATOMIC_RELAXED);
    return 0;
}

static int limited(void *arg)
{
    (void)arg;
    skua_group_attr attr = { .limit = 3 };
    SKUA_GROUP_WITH(g, &attr);
    crowd = (struct crowd){ 0, 0 };
    for (int i = 0; i < 100; i++)
        CHECK_OK(skua_group_go(&g, crowds, as_arg(i)));
    CHECK_EQ(skua_group_wait(&g), 0);
    CHECK_EQ(crowd.now, 0);
    CHECK(crowd.most >= 1 && crowd.most <= 3);

    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_group_try_go(&g, sleeps_long, NULL));
    CHECK_EQ(skua_group_try_go(&g, sleeps_long, NULL), -EAGAIN);
    {
        SKUA_DEADLINE(100 * SKUA_US);
        CHECK_EQ(skua_group_go(&g, sleeps_long, NULL), -ETIMEDOUT);
        CHECK_EQ(skua_group_try_go(&g, sleeps_long, NULL), -ETIMEDOUT);
    }
    skua_group_op op;
    skua_sleep_op nap;
    skua_op *arms[] = { skua_group_reserve_prepare(&op, &g), skua_sleep_prepare(&nap, 100 * SKUA_US) };
    CHECK_EQ(skua_select(arms, 2), 1);
    skua_op *place = skua_group_reserve_start(&op, &g);
    CHECK(!skua_op_is_done(place));
    skua_group_cancel(&g); /* ends the wait for a place */
    CHECK_EQ(skua_await(place), -ECANCELED);
    CHECK_EQ(skua_group_go(&g, sleeps_long, NULL), -ECANCELED);
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);

    CHECK_EQ(skua_await(skua_group_reserve_start(&op, &g)), 0);
    CHECK_EQ(skua_group_try_wait(&g), -EAGAIN); /* a place counts */
    skua_member_attr reserved = { .flags = SKUA_MEMBER_RESERVED };
    CHECK_OK(skua_group_go_with(&g, &reserved, trivial, NULL));
    CHECK_EQ(skua_await(skua_group_reserve_start(&op, &g)), 0);
    skua_group_unreserve(&g);
    CHECK_EQ(skua_group_wait(&g), 0);
    skua_group unlimited;
    skua_group_init(&unlimited);
    CHECK_EQ(skua_group_go_with(&unlimited, &reserved, trivial, NULL), -EINVAL);
    CHECK_EQ(skua_await(skua_group_reserve_start(&op, &unlimited)), -EINVAL);
    skua_spawn_attr too_large = { .stack_size = SIZE_MAX };
    skua_member_attr wrong = { .spawn = &too_large };
    CHECK_EQ(skua_group_go_with(&g, &wrong, trivial, NULL), -EINVAL); /* and its place is free again */
    CHECK_EQ(skua_group_try_wait(&g), 0);
    account = (struct account){ 0, 0 };
    return 0;
}
TEST(a_limited_group) { run_everywhere(limited, NULL); }

/* Places go on from member to member while many tasks start them. */
static int starts_many(void *arg)
{
    for (int i = 0; i < 30; i++)
        CHECK_OK(skua_group_go(arg, crowds, as_arg(i)));
    return 0;
}
static int limited_by_many(void *arg)
{
    (void)arg;
    skua_group_attr attr = { .limit = 4 };
    SKUA_GROUP_WITH(g, &attr);
    SKUA_GROUP(starters);
    crowd = (struct crowd){ 0, 0 };
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_group_go(&starters, starts_many, &g));
    CHECK_EQ(skua_group_wait(&starters), 0);
    CHECK_EQ(skua_group_wait(&g), 0);
    CHECK(crowd.now == 0 && crowd.most <= 4);
    return 0;
}
TEST(places_for_many) { run_everywhere(limited_by_many, NULL); }

/* ---- futures --------------------------------------------------------------------------------------------------- */

struct parent {
    SKUA_FRAME;
    struct {
        int kind;
    } in;
    skua_group group;
    skua_group_waiting waiting;
    skua_group_op op;
    skua_sleep_op sleep;
    skua_scope scope;
    skua_member_attr attr;
    int i;
};
SKUA_ASYNC(parent)
{
    SKUA_BEGIN(self);
    if (self->in.kind == 3) { /* a limit */
        skua_group_init_with(&self->group, &(skua_group_attr){ .limit = 2 });
        self->attr = (skua_member_attr){ .flags = SKUA_MEMBER_RESERVED };
        for (self->i = 0; self->i < 10; self->i++) {
            SKUA_AWAIT(skua_group_reserve_start(&self->op, &self->group));
            CHECK_EQ(self->op.result, 0);
            CHECK_OK(SKUA_GROUP_GO_WITH(&self->group, &self->attr, short_future, .pause_ns = 1000, .result = 1));
        }
    } else if (self->in.kind == 4) { /* results */
        skua_group_init_with(&self->group, &(skua_group_attr){ .flags = SKUA_GROUP_COLLECT });
        for (self->i = 0; self->i < 10; self->i++)
            CHECK_OK(SKUA_GROUP_GO(&self->group, short_future, .pause_ns = 1000, .result = self->i));
        for (self->i = 0; self->i < 10; self->i++) {
            SKUA_AWAIT(skua_group_next_start(&self->op, &self->group));
            CHECK_EQ(self->op.result, 1);
            CHECK_EQ(self->op.value, self->op.tag);
        }
        SKUA_AWAIT(skua_group_next_start(&self->op, &self->group));
        CHECK_EQ(self->op.result, 0);
    } else {
        skua_group_init(&self->group);
        for (self->i = 0; self->i < 10; self->i++)
            CHECK_OK(SKUA_GROUP_GO(&self->group, short_future,
                                   .pause_ns = self->in.kind == 0 ? (uint64_t)self->i * 1000 : 100 * SKUA_S));
    }
    if (self->in.kind == 2)
        skua_deadline_enter(&self->scope, skua_after(100 * SKUA_US));
    SKUA_AWAIT(skua_group_wait_start(&self->waiting, &self->group));
    if (self->in.kind == 2)
        skua_scope_leave(&self->scope);
    SKUA_END(SKUA_RESULT(&self->waiting));
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result;
    struct parent f[2];
    skua_child kids[2];
    CHECK_OK(SKUA_SPAWN(&task, parent, .kind = 0));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    check_account(10);
    CHECK_OK(SKUA_SPAWN(&task, parent, .kind = 1)); /* cancelled */
    (void)skua_sleep(50 * SKUA_US);
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    check_account(10);
    CHECK_OK(SKUA_SPAWN(&task, parent, .kind = 1)); /* before it began */
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&f[0], parent, .kind = 2)), -ETIMEDOUT);
    check_account(20);
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&f[0], parent, .kind = 3)), 0);
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&f[0], parent, .kind = 4)), 0);
    check_account(20);
    skua_child_future(&kids[0], SKUA_FUTURE(&f[0], parent, .kind = 1)); /* the loser of a race */
    skua_child_future(&kids[1], SKUA_FUTURE(&f[1], parent, .kind = 0));
    CHECK_EQ(skua_race(kids, 2), 1);
    CHECK_EQ(kids[0].result, -ECANCELED);
    CHECK_EQ(kids[1].result, 0);
    check_account(20);
    return 0;
}
TEST(groups_in_futures) { run_everywhere(in_futures, NULL); }

/* ---- select ---------------------------------------------------------------------------------------------------- */

static int as_arms(void *arg)
{
    (void)arg;
    skua_group a, b;
    skua_group_attr attr = { .flags = SKUA_GROUP_COLLECT };
    skua_group_op end_a, next_b;
    skua_sleep_op nap;
    skua_group_init(&a);
    skua_group_init_with(&b, &attr);
    skua_op *arms[] = { skua_group_idle_prepare(&end_a, &a), skua_group_next_prepare(&next_b, &b),
                        skua_sleep_prepare(&nap, 100 * SKUA_S) };
    CHECK_OK(skua_group_go(&a, sleeps_long, NULL));
    for (int i = 0; i < 20; i++)
        CHECK_OK(skua_group_go(&b, sleeps, as_arg(i)));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(skua_select(arms, 3), 1);
        CHECK_EQ(next_b.result, 1);
        CHECK_EQ(next_b.value, 0);
    }
    CHECK_EQ(skua_select(arms, 3), 1);
    CHECK_EQ(next_b.result, 0);
    CHECK_EQ(skua_select_try(arms, 1), -EAGAIN);
    CHECK_EQ(skua_await_until(skua_group_idle_start(&end_a, &a), skua_after(1000)), -ETIMEDOUT); /* cancels nobody */
    skua_group_counts counts;
    skua_group_count(&a, &counts);
    CHECK(!counts.is_canceled && counts.live == 1);
    skua_group_cancel(&a);
    CHECK_EQ(skua_select(arms, 1), 0);
    CHECK_EQ(end_a.result, 0);
    CHECK_EQ(end_a.value, -ECANCELED);
    CHECK_EQ(skua_group_wait(&a), 0);
    CHECK_EQ(skua_group_wait(&b), 0);
    check_account(21);
    return 0;
}
TEST(groups_as_arms) { run_everywhere(as_arms, NULL); }

/* ---- plain threads --------------------------------------------------------------------------------------------- */

static void plain_thread(uint32_t workers)
{
    skua_runtime *rt;
    skua_config config = { .workers = workers, .ignore_environment = true };
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_group_attr attr = { .runtime = rt, .limit = 5 }, collects = { .runtime = rt, .flags = SKUA_GROUP_COLLECT };
    {
        SKUA_GROUP_WITH(g, &attr);
        for (int i = 0; i < 50; i++) {
            CHECK_OK(skua_group_go(&g, sleeps, as_arg(i)));
            CHECK_OK(SKUA_GROUP_GO(&g, short_future, .pause_ns = 0, .result = 1));
        }
        CHECK_EQ(skua_group_wait(&g), 0);
        check_account(100);
        for (int i = 0; i < 5; i++)
            CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
        {
            SKUA_DEADLINE(SKUA_MS);
            CHECK_EQ(skua_group_go(&g, sleeps_long, NULL), -ETIMEDOUT);
        }
        CHECK_EQ(skua_group_wait_until(&g, skua_after(SKUA_MS)), -ETIMEDOUT);
        check_account(5);
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
        CHECK_OK(skua_group_go(&g, fails_late, as_arg(-EPIPE)));
        CHECK_EQ(skua_group_wait(&g), -EPIPE);
        check_account(2);
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    }
    check_account(1);
    SKUA_GROUP_WITH(c, &collects);
    skua_group_result result;
    for (int i = 0; i < 50; i++)
        CHECK_OK(skua_group_go(&c, sleeps, as_arg(i)));
    for (int i = 0; i < 50; i++)
        CHECK_EQ(skua_group_next(&c, &result), 1);
    CHECK_EQ(skua_group_next(&c, &result), 0);
    CHECK_EQ(skua_group_wait(&c), 0);
    check_account(50);
    skua_group nowhere;
    skua_group_init(&nowhere);
    CHECK_EQ(skua_group_go(&nowhere, trivial, NULL), -EINVAL);
    CHECK_OK(skua_runtime_destroy(rt));
}
TEST(a_plain_thread_has_a_group)
{
    plain_thread(1);
    plain_thread(4);
}

/* ---- runtimes -------------------------------------------------------------------------------------------------- */

static int never_ends(void *arg)
{
    (void)arg;
    SKUA_SHIELD();
    (void)skua_sleep(1000 * SKUA_S);
    return 0;
}

/* A shutdown gives members up; who waits for them from outside is told. */
TEST(members_that_a_shutdown_leaves)
{
    skua_runtime *rt, *other;
    skua_config config = { .workers = 2, .ignore_environment = true, .log = NULL };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_runtime_create(&other, &config));
    skua_group g;
    skua_group_init_with(&g, &(skua_group_attr){ .runtime = rt });
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_group_go(&g, never_ends, NULL));
    skua_spawn_attr there = { .runtime = other };
    CHECK_OK(skua_group_go_with(&g, &(skua_member_attr){ .spawn = &there }, sleeps_long, NULL));
    CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_MS), -ETIMEDOUT);
    CHECK_EQ(skua_group_wait(&g), -ESHUTDOWN);
    check_account(1);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_OK(skua_runtime_destroy(other));
}

/* Its cancel stage is a failure like another. */
static int waits_for_siblings(void *arg)
{
    SKUA_GROUP(g);
    (void)arg;
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    return 0;
}
TEST(a_shutdown_cancels_members)
{
    skua_runtime *rt;
    skua_config config = { .workers = 2, .ignore_environment = true };
    skua_task *task;
    int64_t result;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, waits_for_siblings, NULL));
    while (__atomic_load_n(&account.begun, __ATOMIC_RELAXED) < 10)
        (void)skua_yield();
    CHECK_OK(skua_runtime_shutdown(rt, 0, SKUA_NEVER));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    check_account(10);
    CHECK_OK(skua_runtime_destroy(rt));
}

#if defined(SKUAI_DEBUG)
static void forgets(void *arg)
{
    (void)arg;
    skua_runtime *rt;
    skua_config config = { .workers = 1, .ignore_environment = true };
    skua_group g;
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_group_init_with(&g, &(skua_group_attr){ .runtime = rt });
    skua_spawn_attr named = { .name = "forgotten" };
    CHECK_OK(skua_group_go_with(&g, &(skua_member_attr){ .spawn = &named }, sleeps_long, NULL));
    skua_group_fini(&g);
}
TEST(a_group_that_is_left_with_members)
{
    test_expect_abort(forgets, NULL, "forgotten");
}
#endif
