/* Guarded data: locked for exactly as long as a pointer to it is there, however its block is left. What does not
 * compile is tests/house/check-thread-safety's. */
#include <errno.h>

#include "skua/cond.h"
#include "skua/guarded.h"
#include "support/with_runtime.h"

struct pair {
    int64_t a, b;
};
typedef SKUA_GUARDED(struct pair) guarded_pair;
typedef SKUA_SHARED(struct pair) shared_pair;

static guarded_pair of_static_duration = SKUA_GUARDED_INIT({ .a = 1, .b = 2 });

static bool is_free(guarded_pair *pair)
{
    SKUA_TRY_WITH(pair, p);
    return p != NULL;
}

static int64_t returns_from_within(guarded_pair *pair, int way)
{
    for (int i = 0; i < 2; i++) {
        SKUA_WITH(pair, p);
        CHECK(skua_mutex_is_locked(SKUA_LOCK_OF(pair)));
        if (way == 0)
            return p->a;
        if (way == 1)
            break;
        if (way == 2)
            continue;
        if (way == 3)
            goto out;
        p->a++;
    }
    CHECK(is_free(pair));
out:
    return -1;
}

static int ways_out(void *arg)
{
    (void)arg;
    guarded_pair pair = SKUA_GUARDED_INIT({ .a = 7, .b = 0 });
    for (int way = 0; way < 5; way++) {
        CHECK_EQ(returns_from_within(&pair, way), way == 0 ? 7 : -1);
        CHECK(is_free(&pair));
    }
    {
        SKUA_WITH(&pair, p);
        CHECK_EQ(p->a, 9);
        CHECK_EQ(SKUA_HELD(&pair)->a, 9);
        CHECK(!is_free(&pair));
        SKUA_WITH(&of_static_duration, q); /* several in one block, left in reverse */
        CHECK(q->a == 1 && q->b == 2);
    }
    skua_cancel(skua_self());
    SKUA_WITH(&pair, p); /* all the same */
    p->b = 1;
    return 0;
}
TEST(each_way_out_unlocks) { run_everywhere(ways_out, NULL); }

static int shares(void *arg)
{
    (void)arg;
    shared_pair pair = SKUA_SHARED_INIT({ .a = 1, .b = 1 });
    {
        SKUA_WITH_READ(&pair, p);
        SKUA_TRY_WITH_READ(&pair, q);
        SKUA_TRY_WITH_WRITE(&pair, w);
        CHECK(q == p && w == NULL);
        CHECK_EQ(SKUA_HELD_READ(&pair)->b, 1);
    }
    {
        SKUA_WITH_WRITE(&pair, p);
        p->a = p->b = 3;
        SKUA_TRY_WITH_READ(&pair, q);
        CHECK(q == NULL);
        CHECK(SKUA_HELD_WRITE(&pair) == p);
    }
    SKUA_TRY_WITH_WRITE(&pair, p);
    CHECK(p != NULL && p->a == 3);
    return 0;
}
TEST(shared_data) { run_everywhere(shares, NULL); }

/* ---- counting ---------------------------------------------------------------------------------------------------- */

struct counting {
    guarded_pair pair;
    skua_cond changed;
    uint64_t rounds;
};

static int counts(void *arg)
{
    struct counting *c = arg;
    for (uint64_t i = 0; i < c->rounds; i++) {
        SKUA_WITH(&c->pair, p);
        p->a++;
        if (i % 16 == 0)
            (void)skua_yield();
        p->b++;
        skua_cond_signal(&c->changed);
    }
    return 0;
}

struct counter {
    SKUA_FRAME;
    struct {
        struct counting *c;
    } in;
    skua_op op;
    uint64_t i;
};
SKUA_ASYNC(counter)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.c->rounds; self->i++) {
        SKUA_AWAIT(skua_mutex_lock_start(&self->op, SKUA_LOCK_OF(&self->in.c->pair)));
        SKUA_HELD(&self->in.c->pair)->a++;
        if (self->i % 16 == 0)
            SKUA_YIELD();
        SKUA_HELD(&self->in.c->pair)->b++;
        skua_cond_signal(&self->in.c->changed);
        skua_mutex_unlock(SKUA_LOCK_OF(&self->in.c->pair));
    }
    SKUA_END(0);
}

static int waits_for_all(void *arg)
{
    (void)arg;
    struct counting c = { .pair = SKUA_GUARDED_INIT({ .a = 0, .b = 0 }), .changed = SKUA_COND_INIT,
                          .rounds = test_scaled(200) };
    skua_task *tasks[4];
    for (int i = 0; i < 4; i++)
        CHECK_OK(i % 2 ? skua_spawn(&tasks[i], counts, &c) : SKUA_SPAWN(&tasks[i], counter, .c = &c));
    {
        SKUA_WITH(&c.pair, p);
        while (p->b < 4 * (int64_t)c.rounds) {
            CHECK_EQ(skua_cond_wait(&c.changed, SKUA_LOCK_OF(&c.pair)), 0);
            CHECK_EQ(p->a, p->b);
        }
    }
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}
TEST(counted_under_a_guard) { run_everywhere(waits_for_all, NULL); }
