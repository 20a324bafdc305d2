/* Cancellation tokens: scopes, trees, groups, tasks, callbacks, selects. */
#include <errno.h>
#include <pthread.h>

#include "skua/cancel_token.h"
#include "support/with_runtime.h"

static int canceler(void *arg)
{
    (void)skua_sleep(100 * SKUA_US);
    skua_cancel_token_cancel(arg);
    return 0;
}

static int in_scope(void *arg)
{
    (void)arg;
    skua_cancel_token token;
    skua_cancel_token_init(&token, NULL);
    CHECK(!skua_cancel_token_is_canceled(&token));
    {
        SKUA_CANCEL_SCOPE(&token);
        CHECK_EQ(skua_sleep(1000), 0);
        CHECK_EQ(skua_interrupted(), 0);
        CHECK_OK(skua_go(canceler, &token));
        CHECK_EQ(skua_sleep(100 * SKUA_S), -ECANCELED);
        CHECK_EQ(skua_sleep(0), -ECANCELED);
        CHECK_EQ(skua_interrupted(), -ECANCELED);
        {
            SKUA_SHIELD();
            CHECK_EQ(skua_interrupted(), 0);
            CHECK_EQ(skua_sleep(1000), 0);
            SKUA_DEADLINE(1000);
            CHECK_EQ(skua_sleep(100 * SKUA_S), -ETIMEDOUT);
        }
        {
            SKUA_DEADLINE(0);
            CHECK_EQ(skua_sleep(100 * SKUA_S), -ECANCELED); /* outranks */
        }
    }
    CHECK_EQ(skua_interrupted(), 0);
    CHECK_EQ(skua_sleep(1000), 0);
    CHECK(skua_cancel_token_is_canceled(&token));
    {
        SKUA_DEADLINE(0);
        SKUA_CANCEL_SCOPE(&token); /* that was cancelled before */
        CHECK_EQ(skua_interrupted(), -ECANCELED);
        CHECK_EQ(skua_sleep(0), -ECANCELED);
    }
    CHECK_EQ(skua_interrupted(), 0);
    skua_cancel_token_cancel(&token); /* again */
    skua_cancel_token_fini(&token);
    return 0;
}
TEST(a_scope_of_a_token) { run_everywhere(in_scope, NULL); }

static int nested(void *arg)
{
    (void)arg;
    skua_cancel_token outer, inner;
    skua_cancel_token_init(&outer, NULL);
    skua_cancel_token_init(&inner, &outer);
    {
        SKUA_CANCEL_SCOPE(&outer);
        {
            SKUA_CANCEL_SCOPE(&inner);
            skua_cancel_token_cancel(&inner);
            CHECK_EQ(skua_sleep(SKUA_S), -ECANCELED);
        }
        CHECK_EQ(skua_sleep(1000), 0);
        CHECK(!skua_cancel_token_is_canceled(&outer));
    }
    skua_cancel_token_fini(&inner);
    skua_cancel_token tree[40];
    for (int i = 0; i < 40; i++)
        skua_cancel_token_init(&tree[i], i == 0 ? &outer : &tree[(i - 1) / 2]);
    skua_cancel_token_cancel(&tree[1]);
    for (int i = 0; i < 40; i++) {
        int at = i;
        while (at > 1 && at != 1)
            at = (at - 1) / 2;
        bool below = at == 1;
        for (at = i; at > 2; at = (at - 1) / 2)
            ;
        below = at == 1;
        CHECK_EQ(skua_cancel_token_is_canceled(&tree[i]), below);
    }
    skua_cancel_token_cancel(&outer);
    for (int i = 0; i < 40; i++)
        CHECK(skua_cancel_token_is_canceled(&tree[i]));
    skua_cancel_token late;
    skua_cancel_token_init(&late, &tree[39]);
    CHECK(skua_cancel_token_is_canceled(&late));
    skua_cancel_token_fini(&late);
    for (int i = 39; i >= 0; i--)
        skua_cancel_token_fini(&tree[i]);
    skua_cancel_token_fini(&outer);
    return 0;
}
TEST(a_tree_of_tokens) { run_everywhere(nested, NULL); }

static int sleeps_long(void *arg)
{
    (void)arg;
    return skua_sleep(100 * SKUA_S);
}

static void counts(void *arg) { ++*(int *)arg; }

static int bound(void *arg)
{
    (void)arg;
    skua_cancel_token token;
    skua_cancel_binding to_group, to_task, to_count, unbound, late;
    skua_group g;
    skua_task *task;
    int64_t result;
    int count = 0, none = 0;
    skua_cancel_token_init(&token, NULL);
    skua_group_init(&g);
    CHECK_OK(skua_group_bind(&g, &to_group, &token));
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_group_go(&g, sleeps_long, NULL));
    CHECK_OK(skua_spawn(&task, sleeps_long, NULL));
    skua_waker waker = skua_task_waker(task);
    CHECK_OK(skua_cancel_token_bind(&to_task, &token, skua_cancel_waker, &waker));
    CHECK_OK(skua_cancel_token_bind(&to_count, &token, counts, &count));
    CHECK_OK(skua_cancel_token_bind(&unbound, &token, counts, &none));
    skua_cancel_token_unbind(&unbound);
    skua_cancel_token_unbind(&unbound);
    skua_cancel_token_cancel(&token);
    CHECK_EQ(skua_group_wait(&g), -ECANCELED);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(count, 1);
    CHECK_EQ(none, 0);
    CHECK_EQ(skua_cancel_token_bind(&late, &token, counts, &count), -ECANCELED);
    CHECK_EQ(count, 2);
    skua_cancel_token_unbind(&late);
    skua_cancel_token_unbind(&to_group);
    skua_cancel_token_unbind(&to_task);
    skua_cancel_token_unbind(&to_count);
    skua_group_fini(&g);
    skua_cancel_token_fini(&token);
    return 0;
}
TEST(what_is_bound_to_a_token) { run_everywhere(bound, NULL); }

struct limited {
    SKUA_FRAME;
    struct {
        skua_cancel_token *token;
        int kind;
    } in;
    skua_scope scope;
    skua_sleep_op sleep;
    skua_op wait;
};
SKUA_ASYNC(limited)
{
    SKUA_BEGIN(self);
    if (self->in.kind == 0) {
        SKUA_AWAIT(skua_cancel_token_wait_start(&self->wait, self->in.token));
        SKUA_RETURN(self->wait.result);
    }
    skua_cancel_scope_enter(&self->scope, self->in.token);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 100 * SKUA_S));
    skua_scope_leave(&self->scope);
    if (self->sleep.result != -ECANCELED || skua_interrupted() != 0)
        SKUA_RETURN(-1);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 1000));
    SKUA_END(self->sleep.result);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_cancel_token token;
    struct limited f[2];
    skua_child kids[2];
    skua_cancel_token_init(&token, NULL);
    {
        SKUA_GROUP(g);
        CHECK_OK(SKUA_GROUP_GO(&g, limited, .token = &token, .kind = 0));
        CHECK_OK(SKUA_GROUP_GO(&g, limited, .token = &token, .kind = 1));
        CHECK_OK(skua_group_go(&g, canceler, &token));
        skua_child_future(&kids[0], SKUA_FUTURE(&f[0], limited, .token = &token, .kind = 0));
        skua_child_future(&kids[1], SKUA_FUTURE(&f[1], limited, .token = &token, .kind = 1));
        CHECK_EQ(skua_join_all(kids, 2), 0);
        CHECK_EQ(skua_group_wait(&g), 0);
    }
    skua_cancel_token_fini(&token);
    skua_cancel_token_init(&token, NULL);
    CHECK_EQ(skua_cancel_token_wait_until(&token, skua_after(1000)), -ETIMEDOUT);
    skua_op wait;
    skua_sleep_op nap;
    skua_op *arms[] = { skua_cancel_token_wait_prepare(&wait, &token), skua_sleep_prepare(&nap, 1000) };
    CHECK_EQ(skua_select(arms, 2), 1);
    CHECK_EQ(skua_select_try(arms, 1), -EAGAIN);
    CHECK_OK(skua_go(canceler, &token));
    CHECK_EQ(skua_select(arms, 1), 0);
    CHECK_EQ(skua_select_try(arms, 1), 0);
    CHECK_EQ(skua_cancel_token_wait(&token), 0);
    skua_cancel_token_fini(&token);
    return 0;
}
TEST(tokens_in_futures_sets_and_selects) { run_everywhere(in_futures, NULL); }

/* Bindings come and go while the token is cancelled; each callback is called at most once, and never after unbind. */
struct churn {
    skua_cancel_token token;
    int calls; /* __atomic */
};
struct called {
    struct churn *churn;
    int is_there, was_called; /* __atomic */
};
static void is_called(void *arg)
{
    struct called *called = arg;
    CHECK_EQ(__atomic_load_n(&called->is_there, __ATOMIC_RELAXED), 1);
    CHECK_EQ(__atomic_fetch_add(&called->was_called, 1, __ATOMIC_RELAXED), 0);
    __atomic_fetch_add(&called->churn->calls, 1, __ATOMIC_RELAXED);
}
static int churns(void *arg)
{
    struct churn *churn = arg;
    for (int i = 0; i < 20; i++) {
        struct called called = { .churn = churn, .is_there = 1 };
        skua_cancel_binding binding;
        skua_cancel_token child;
        (void)skua_cancel_token_bind(&binding, &churn->token, is_called, &called);
        skua_cancel_token_init(&child, &churn->token);
        {
            SKUA_CANCEL_SCOPE(&child);
            (void)skua_sleep(i % 3 == 0 ? 10 * SKUA_US : 0);
        }
        skua_cancel_token_fini(&child);
        skua_cancel_token_unbind(&binding);
        __atomic_store_n(&called.is_there, 0, __ATOMIC_RELAXED);
    }
    return 0;
}
static int churning(void *arg)
{
    (void)arg;
    for (int round = 0; round < 10; round++) {
        struct churn churn = { .calls = 0 };
        skua_cancel_token_init(&churn.token, NULL);
        SKUA_GROUP(g);
        for (int i = 0; i < 6; i++)
            CHECK_OK(skua_group_go(&g, churns, &churn));
        (void)skua_sleep((uint64_t)round * 10 * SKUA_US);
        skua_cancel_token_cancel(&churn.token);
        CHECK_EQ(skua_group_wait(&g), 0);
        skua_cancel_token_fini(&churn.token);
    }
    return 0;
}
TEST(bindings_that_race_with_the_cancellation) { run_everywhere(churning, NULL); }

static void *cancels_from_outside(void *arg)
{
    skua_cancel_token_cancel(arg);
    return NULL;
}

TEST(tokens_of_plain_threads)
{
    skua_cancel_token token;
    pthread_t thread;
    skua_cancel_token_init(&token, NULL);
    CHECK_EQ(skua_cancel_token_wait_until(&token, skua_after(1000)), -ETIMEDOUT);
    {
        SKUA_CANCEL_SCOPE(&token);
        CHECK_EQ(skua_sleep(1000), 0);
        CHECK_EQ(pthread_create(&thread, NULL, cancels_from_outside, &token), 0);
        SKUA_SHIELD();
        CHECK_EQ(skua_cancel_token_wait(&token), 0);
    }
    {
        SKUA_CANCEL_SCOPE(&token);
        CHECK_EQ(skua_sleep(1000), -ECANCELED);
        CHECK_EQ(skua_interrupted(), -ECANCELED);
    }
    CHECK_EQ(skua_interrupted(), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    skua_cancel_token_fini(&token);
}

static void ends_while_bound(void *arg)
{
    (void)arg;
    skua_cancel_token token;
    skua_cancel_binding binding;
    int count = 0;
    skua_cancel_token_init(&token, NULL);
    CHECK_OK(skua_cancel_token_bind(&binding, &token, counts, &count));
    skua_cancel_token_fini(&token);
}
TEST(a_token_that_something_answers_to_may_not_end)
{
    test_expect_abort(ends_while_bound, NULL, "still answers to");
}
