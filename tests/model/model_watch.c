/* Watches (sync/watch.c, V1 … V4): what is read is one value, whole, of the version that is told; nobody waits for a
 * version that is there; the last one is seen before the end.
 */
/* model-sources: sched/op.c sync/watch.c */
/* model-defines: aligned_alloc=model_alloc free=model_free SKUAI_WATCH_TURNS=2 */
#include <stdlib.h>

#include "model/waits.h"
#include "skua/watch.h"

struct value {
    uint64_t number, again; /* two words, so that half of one can be seen */
};

static _Alignas(64) char memory[512];
static skua_watch *watch;
static struct { skua_watch_op ops[2]; struct skuai_select word; } mine[2];
static uint64_t last_seen[2];
static int64_t got[2];
static int behind[8]; /* plain: what a value is about */
static bool freed;

void *model_alloc(size_t alignment, size_t size)
{
    mc_assert(alignment == 64 && size <= sizeof memory, "the memory is large enough");
    return memory;
}
void model_free(void *block)
{
    mc_assert(block == memory && !freed, "freed twice");
    freed = true;
    mc_free(memory, sizeof memory);
}

static void reset(void)
{
    static const struct value initial = { 1, 1 };
    memset(mine, 0, sizeof mine);
    memset(behind, 0, sizeof behind);
    memset(last_seen, 0, sizeof last_seen);
    freed = false;
    got[0] = got[1] = -1;
    mine[0].word.number = 1;
    mine[1].word.number = 2;
    behind[1] = 1;
    mc_assert(skua_watch_create(&watch, sizeof(struct value), &initial) == 0, "there is memory");
}

static void check(const struct value *value, uint64_t version)
{
    mc_assert(value->number == value->again, "half a value");
    mc_assert(value->number == version, "another version's value");
    mc_assert(SKUAI_READ(behind[version]) == 1, "what was done before is not seen");
}

static void set(uint64_t number)
{
    struct value value = { number, number };
    SKUAI_WRITE(behind[number], 1);
    mc_assert(skua_watch_set(watch, &value) == 0, "it is open");
}
static void sets_two(void *arg)
{
    (void)arg;
    set(2);
    set(3);
}
static void sets_and_closes(void *arg)
{
    for (uint64_t number = 2; number <= (uint64_t)(uintptr_t)arg; number++)
        set(number);
    skua_watch_close(watch);
}

static int64_t changed(unsigned i, enum waits_how how)
{
    struct value value = { 0, 0 };
    uint64_t seen = last_seen[i];
    mc_alloc(&mine[i], sizeof mine[i]);
    int64_t rc = waits_for(skua_watch_changed_prepare(&mine[i].ops[0], watch, &seen, &value), how);
    mc_free(&mine[i], sizeof mine[i]);
    mc_assert((rc == 1) == (seen > last_seen[i]) && (rc == 1) == (value.number != 0), "a change that is none");
    if (rc == 1)
        check(&value, seen);
    last_seen[i] = seen;
    return rc;
}
static void follows(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    while ((got[i] = changed(i, WAITS_ON)) != 0)
        ;
}
static void gives_up(void *arg)
{
    (void)changed(0, WAITS_OR_IS_CANCELED);
    follows(arg);
}
static void straight(void *arg)
{
    (void)arg;
    struct value value = { 0, 0 };
    uint64_t seen = 1;
    while ((got[0] = skua_watch_changed(watch, &seen, &value)) == 1)
        check(&value, seen);
    last_seen[0] = seen;
    mc_assert(skua_watch_destroy(watch) == 0, "nobody waits");
}

/* The same by the other calls; one wait may end early. */
static int64_t changed_by_start(uint64_t *seen, struct value *value)
{
    mc_alloc(&mine[0], sizeof mine[0]);
    int64_t rc = waits_started(skua_watch_changed_start(&mine[0].ops[0], watch, seen, value));
    mc_free(&mine[0], sizeof mine[0]);
    return rc;
}
enum how { STARTS, TRIES };
static void by_other_calls(void *arg)
{
    struct value value = { 0, 0 };
    uint64_t seen = 1;
    got[0] = skua_watch_changed_until(watch, &seen, &value, 1);
    mc_assert(got[0] == 1 || got[0] == 0 || (got[0] == -ECANCELED && seen == 1 && value.number == 0), "another result");
    while (got[0] != 0) {
        if (got[0] == 1)
            check(&value, seen);
        if ((enum how)(uintptr_t)arg == STARTS)
            got[0] = changed_by_start(&seen, &value);
        else
            while ((got[0] = skua_watch_try_changed(watch, &seen, &value)) == -EAGAIN)
                skuai_pause();
    }
    last_seen[0] = seen;
    mc_assert(skua_watch_destroy(watch) == 0, "nobody waits");
}

/* What one thread can see. */
static void sees_numbers(void *arg)
{
    (void)arg;
    struct value value = { 0, 0 }, two = { 2, 2 };
    uint64_t seen = 0, seen_by_op = 1;
    mc_assert(skua_watch_get(watch, NULL) == 1, "the version alone");
    mc_assert(skua_watch_try_changed(watch, &seen, NULL) == 1 && seen == 1, "the version alone");
    mc_assert(skua_watch_try_changed(watch, &seen, &value) == -EAGAIN && value.number == 0, "nothing new");
    mc_assert(skua_watch_set_if(watch, 2, &two) == -EAGAIN && skua_watch_version(watch) == 1, "it is not that");
    skua_op *op = skuai_op_start(skua_watch_changed_prepare(&mine[0].ops[0], watch, &seen_by_op, NULL));
    mc_assert(!skuai_op_is_done(op), "nothing new");
    mc_assert(skua_watch_destroy(watch) == -EBUSY && waits_misused == 1 && !freed, "somebody waits");
    set(2);
    mc_assert(waits_await(op, WAITS_ON) == 1 && seen_by_op == 2, "the version alone");
    seen_by_op = 1;
    op = skuai_op_start(skua_watch_changed_prepare(&mine[0].ops[1], watch, &seen_by_op, NULL));
    mc_assert(waits_await(op, WAITS_ON) == 1 && seen_by_op == 2, "the version alone");
    skua_watch_close(watch);
    mc_assert(skua_watch_set(watch, &two) == -EPIPE && skua_watch_version(watch) == 2, "closed");
    mc_assert(skua_watch_try_changed(watch, &seen, &value) == 1 && seen == 2 && value.number == 2, "the last");
    mc_assert(skua_watch_try_changed(watch, &seen, &value) == 0, "the end");
    mc_assert(skua_watch_destroy(watch) == 0, "nobody waits");
}
static void numbers_setup(void)
{
    reset();
    waits_misused = 0;
    mc_thread(sees_numbers, NULL);
}
static void freed_finish(void) { mc_assert(freed, "it was not freed"); }
MC_TEST(numbers, .setup = numbers_setup, .finish = freed_finish);

static void reads(void *arg)
{
    struct value value = { 0, 0 };
    (void)arg;
    uint64_t version = skua_watch_get(watch, &value);
    check(&value, version);
    mc_assert(skua_watch_version(watch) >= version, "a version that was is to be");
}
static void read_setup(void)
{
    reset();
    mc_thread(reads, NULL);
    mc_thread(sets_two, NULL);
}
MC_TEST(read_while_written, .setup = read_setup, .bound = 4, .max_executions = 300000);

static void follow_setup(void)
{
    reset();
    mc_thread(sets_and_closes, (void *)3);
    mc_thread(follows, (void *)0);
}
static void follow_finish(void) { mc_assert(got[0] == 0 && last_seen[0] == 3, "the last version was not seen"); }
MC_TEST(followed, .setup = follow_setup, .finish = follow_finish, .bound = 3, .max_executions = 200000);

static void canceled_setup(void)
{
    reset();
    last_seen[0] = 1;
    mc_thread(sets_and_closes, (void *)2);
    mc_thread(gives_up, (void *)0);
}
static void canceled_finish(void) { mc_assert(got[0] == 0 && last_seen[0] == 2, "the last version was not seen"); }
MC_TEST(canceled, .setup = canceled_setup, .finish = canceled_finish, .bound = 3, .max_executions = 200000);

static void destroy_setup(void)
{
    reset();
    mc_thread(sets_and_closes, (void *)2);
    mc_thread(straight, NULL);
}
static void destroy_finish(void) { mc_assert(last_seen[0] == 2 && freed, "the last version was not seen"); }
MC_TEST(destroyed, .setup = destroy_setup, .finish = destroy_finish, .bound = 3, .max_executions = 200000);

static void started_setup(void)
{
    reset();
    mc_thread(sets_and_closes, (void *)2);
    mc_thread(by_other_calls, (void *)(uintptr_t)STARTS);
}
static void tried_setup(void)
{
    reset();
    mc_thread(sets_and_closes, (void *)2);
    mc_thread(by_other_calls, (void *)(uintptr_t)TRIES);
}
MC_TEST(started, .setup = started_setup, .finish = destroy_finish, .bound = 3, .stale = 2, .max_executions = 150000);
MC_TEST(tried, .setup = tried_setup, .finish = destroy_finish, .bound = 3, .stale = 2, .max_executions = 150000);

/* Of two that set if nobody has, one does. */
static int set_if[2];
static void sets_if(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    struct value value = { 2, 2 };
    set_if[i] = skua_watch_set_if(watch, 1, &value);
}
static void set_if_setup(void)
{
    reset();
    mc_thread(sets_if, (void *)0);
    mc_thread(sets_if, (void *)1);
}
static void set_if_finish(void)
{
    mc_assert(set_if[0] + set_if[1] == -EAGAIN && skua_watch_version(watch) == 2, "not exactly one has set it");
}
MC_TEST(set_if_it_is_still_that, .setup = set_if_setup, .finish = set_if_finish, .bound = MC_UNBOUNDED);

/* An arm that does not take effect has seen nothing. */
static void selects(void *arg)
{
    (void)arg;
    struct value values[2] = { { 0, 0 }, { 0, 0 } };
    uint64_t seen[2] = { 1, 1 };
    mc_alloc(&mine[0], sizeof mine[0]);
    skua_op *arms[] = { skua_watch_changed_prepare(&mine[0].ops[0], watch, &seen[0], &values[0]),
                        skua_watch_changed_prepare(&mine[0].ops[1], watch, &seen[1], &values[1]) };
    int64_t arm = waits_select(&mine[0].word, arms, 2, WAITS_OR_IS_CANCELED);
    for (int64_t i = 0; i < 2; i++)
        mc_assert(i == arm ? seen[i] > 1 && values[i].number == seen[i] : seen[i] == 1 && values[i].number == 0,
                  "not exactly one arm's effect");
    mc_free(&mine[0], sizeof mine[0]);
}
static void arms_setup(void)
{
    reset();
    mc_thread(selects, NULL);
    mc_thread(sets_two, NULL);
}
MC_TEST(arms, .setup = arms_setup, .bound = 3, .max_executions = 200000);
