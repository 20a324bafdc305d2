/* The read-write lock (sync/rwlock.c, L1 … L4): writers alone, readers together; who waits is not forgotten, whoever
 * leaves meanwhile; each sees what those before did. */
/* model-sources: sched/op.c sync/rwlock.c */
/* model-defines: SKUAI_MODEL_FRESH=1 */
#include "skua/rwlock.h"

#include "model/lock_world.h"

static skua_rwlock rwlock;
static skua_op ops[MC_THREADS];
static struct skuai_select words[MC_THREADS];
static int readers, writers, most_readers, written, canceled;
static int guarded; /* plain, and the lock's */

static void section(bool reads)
{
    mc_assert(skua_rwlock_is_locked(&rwlock) && skua_rwlock_is_write_locked(&rwlock) == !reads, "held, and otherwise");
    if (reads) {
        skua_rwlock_assert_read_held(&rwlock);
        mc_assert(writers == 0, "a reader beside a writer");
        most_readers = ++readers > most_readers ? readers : most_readers;
        (void)SKUAI_READ(guarded);
        readers--;
    } else {
        skua_rwlock_assert_write_held(&rwlock);
        mc_assert(writers++ == 0 && readers == 0, "a writer beside others");
        SKUAI_WRITE(guarded, SKUAI_READ(guarded) + 1);
        written++;
        writers--;
    }
}

static bool lock(bool reads)
{
    skua_op *op = &ops[mc.current];
    if ((reads ? skua_rwlock_try_read_lock(&rwlock) : skua_rwlock_try_write_lock(&rwlock)) == 0)
        return true;
    int64_t rc = skuai_call(reads ? skua_rwlock_read_lock_prepare(op, &rwlock)
                                  : skua_rwlock_write_lock_prepare(op, &rwlock));
    canceled += rc == -ECANCELED;
    mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    return rc == 0;
}

static void reads(void *arg)
{
    (void)arg;
    if (lock(true)) {
        section(true);
        skua_rwlock_read_unlock(&rwlock);
    }
}
static void writes(void *arg)
{
    (void)arg;
    if (lock(false)) {
        section(false);
        skua_rwlock_write_unlock(&rwlock);
    }
}
/* By starts and by straight-line calls. */
static void starts_to_read(void *arg)
{
    (void)arg;
    mc_assert(world_started(skua_rwlock_read_lock_start(&ops[mc.current], &rwlock)) == 0, "another result");
    section(true);
    skua_rwlock_read_unlock(&rwlock);
}
static void starts_to_write(void *arg)
{
    (void)arg;
    mc_assert(world_started(skua_rwlock_write_lock_start(&ops[mc.current], &rwlock)) == 0, "another result");
    section(false);
    skua_rwlock_write_unlock(&rwlock);
}
static void calls_to_read(void *arg)
{
    int rc = arg == NULL ? skua_rwlock_read_lock(&rwlock) : skua_rwlock_read_lock_until(&rwlock, 1);
    canceled += rc == -ECANCELED;
    mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    if (rc == 0) {
        section(true);
        skua_rwlock_read_unlock(&rwlock);
    }
}
static void calls_to_write(void *arg)
{
    int rc = arg == NULL ? skua_rwlock_write_lock(&rwlock) : skua_rwlock_write_lock_until(&rwlock, 1);
    canceled += rc == -ECANCELED;
    mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    if (rc == 0) {
        section(false);
        skua_rwlock_write_unlock(&rwlock);
    }
}
static void reads_shielded(void *arg)
{
    (void)arg;
    skua_rwlock_read_lock_shielded(&rwlock);
    section(true);
    skua_rwlock_read_unlock(&rwlock);
}
static void writes_shielded(void *arg)
{
    (void)arg;
    skua_rwlock_write_lock_shielded(&rwlock);
    section(false);
    skua_rwlock_write_unlock(&rwlock);
}
static void writes_and_reads(void *arg)
{
    (void)arg;
    if (lock(false)) {
        section(false);
        int before = SKUAI_READ(guarded);
        skua_rwlock_downgrade(&rwlock);
        mc_assert(writers == 0 && SKUAI_READ(guarded) == before, "somebody wrote in between");
        skua_rwlock_read_unlock(&rwlock);
    }
}
static void selects_to_write(void *arg)
{
    (void)arg;
    if (world_select(skua_rwlock_write_lock_prepare(&ops[mc.current], &rwlock), &words[mc.current])) {
        section(false);
        skua_rwlock_write_unlock(&rwlock);
    }
}
static void selects_to_read(void *arg)
{
    (void)arg;
    if (world_select(skua_rwlock_read_lock_prepare(&ops[mc.current], &rwlock), &words[mc.current])) {
        section(true);
        skua_rwlock_read_unlock(&rwlock);
    }
}

static void reset(void)
{
    world_reset();
    skua_rwlock_init(&rwlock);
    memset(ops, 0, sizeof ops);
    memset(words, 0, sizeof words);
    readers = writers = most_readers = written = canceled = guarded = 0;
    mc_name(&rwlock.state, "state");
    mc_name(&rwlock.lock, "lock");
    for (unsigned i = 0; i < MC_THREADS; i++)
        mc_name(&ops[i].state, "op%u", i);
}

static void finish(void)
{
    skua_rwlock_fini(&rwlock);
    mc_assert(!world_has_shields(), "a shield was not left");
    mc_assert(guarded == written, "a write was lost");
    mc_assert(rwlock.state.raw == 0 && rwlock.readers.first == NULL && rwlock.writers.first == NULL,
              "it is not free at the end");
}

#define MODEL(name, first, second, third, ...)                        \
    static void name##_setup(void)                                    \
    {                                                                 \
        reset();                                                      \
        mc_thread(first, NULL);                                       \
        mc_thread(second, NULL);                                      \
        mc_thread(third, NULL);                                       \
        __VA_ARGS__;                                                  \
    }                                                                 \
    MC_TEST(name, .setup = name##_setup, .finish = finish, .stale = 2, .max_executions = 300000)

MODEL(readers_and_a_writer, reads, reads, writes);
MODEL(writers_and_a_reader, writes, writes, reads);
MODEL(three_writers, writes, writes, writes);
MODEL(a_writer_gives_up, reads, reads, writes, world_canceled[3] = WORLD_MAY_BE);
MODEL(all_give_up, reads, writes, writes, world_canceled[1] = world_canceled[2] = world_canceled[3] = WORLD_MAY_BE);
MODEL(downgrading, writes_and_reads, writes, reads);
MODEL(downgrading_interrupted, writes_and_reads, writes, reads, world_canceled[2] = world_canceled[3] = WORLD_MAY_BE);
MODEL(starting, starts_to_read, starts_to_write, starts_to_read);
MODEL(calling, calls_to_read, calls_to_write, calls_to_write);
MODEL(calling_interrupted, calls_to_read, calls_to_write, calls_to_write,
      world_canceled[1] = world_canceled[2] = WORLD_MAY_BE);
MODEL(shielded, reads_shielded, writes_shielded, writes,
      world_canceled[1] = world_canceled[2] = world_canceled[3] = WORLD_MAY_BE);
MODEL(selecting_to_write, reads, writes, selects_to_write, world_canceled[3] = WORLD_MAY_BE);
MODEL(reading_behind_an_arm, reads, reads, selects_to_write, world_canceled[3] = WORLD_MAY_BE);
MODEL(selecting_to_read, writes, reads, selects_to_read, world_canceled[3] = WORLD_MAY_BE);

/* Those that wait behind a writer come in when he gives up, though nobody leaves: they meet those that are inside. */
static skua_word32 gate;
static bool first_is_inside;
static void reads_until_joined(void *arg)
{
    (void)arg;
    mc_assert(lock(true), "cancelled");
    first_is_inside = true;
    while (skuai_load_32(&gate, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&gate, 0);
    skua_rwlock_read_unlock(&rwlock);
}
static void joins(void *arg)
{
    (void)arg;
    while (!first_is_inside)
        skuai_pause();
    mc_assert(lock(true), "cancelled");
    skuai_store_32(&gate, 1, SKUAI_RELEASE);
    mc_futex_wake(&gate, 1);
    skua_rwlock_read_unlock(&rwlock);
}
static void gives_up(void *arg)
{
    (void)arg;
    while (!first_is_inside)
        skuai_pause();
    skua_op *op = skua_rwlock_write_lock_prepare(&ops[mc.current], &rwlock);
    skuai_op_start(op);
    if (!skuai_op_is_done(op) && world_kind(op)->withdraw(op))
        return;
    (void)skua_await(op);
    skua_rwlock_write_unlock(&rwlock);
}
static void admitted_setup(void)
{
    reset();
    gate.raw = 0;
    first_is_inside = false;
    mc_thread(reads_until_joined, NULL);
    mc_thread(joins, NULL);
    mc_thread(gives_up, NULL);
}
MC_TEST(readers_are_let_in, .setup = admitted_setup, .finish = finish, .stale = 2);

/* The same while others leave: two readers were inside. */
static void leaves(void *arg)
{
    (void)arg;
    while (skuai_load_32(&gate, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&gate, 0);
    skua_rwlock_read_unlock(&rwlock);
}
static void lets_in(void *arg)
{
    (void)arg;
    mc_assert(lock(true) && lock(true), "it is free");
    skua_op *writer = skuai_op_start(skua_rwlock_write_lock_prepare(&ops[0], &rwlock));
    skua_op *reader = skuai_op_start(skua_rwlock_read_lock_prepare(&ops[1], &rwlock));
    skuai_store_32(&gate, 1, SKUAI_RELEASE);
    mc_futex_wake(&gate, 2);
    if (!world_kind(writer)->withdraw(writer)) {
        mc_assert(skua_await(writer) == 0, "another result");
        skua_rwlock_write_unlock(&rwlock);
    }
    mc_assert(skua_await(reader) == 0, "another result");
    skua_rwlock_read_unlock(&rwlock);
}
static void let_in_setup(void)
{
    reset();
    gate.raw = 0;
    mc_thread(lets_in, NULL);
    mc_thread(leaves, NULL);
    mc_thread(leaves, NULL);
}
MC_TEST(readers_are_let_in_beside_others, .setup = let_in_setup, .finish = finish, .stale = 1,
        .max_executions = 300000);

/* As in model_mutex.c: the last user gives the memory back. A count in the lock's own data needs a write lock. */
static int users;
static void last_frees(void *arg)
{
    (void)arg;
    if (lock(true)) {
        section(true);
        skua_rwlock_read_unlock(&rwlock);
    }
    if (!lock(false))
        skua_rwlock_write_lock_shielded(&rwlock);
    bool last = --users == 0;
    skua_rwlock_write_unlock(&rwlock);
    if (last)
        mc_free(&rwlock, sizeof rwlock);
}
static void freed_setup(void)
{
    reset();
    users = 2;
    mc_thread(last_frees, NULL);
    mc_thread(last_frees, NULL);
    world_canceled[2] = WORLD_MAY_BE;
}
MC_TEST(the_last_one_frees, .setup = freed_setup, .stale = 1, .max_executions = 300000);

/* In one thread: after a writer all readers that wait, after them the next writer. */
static void takes_turns(void *arg)
{
    (void)arg;
    mc_assert(skua_rwlock_try_write_lock(&rwlock) == 0, "it is free");
    skua_op *writer = skuai_op_start(skua_rwlock_write_lock_prepare(&ops[0], &rwlock));
    skua_op *reader = skuai_op_start(skua_rwlock_read_lock_prepare(&ops[1], &rwlock));
    skua_op *another = skuai_op_start(skua_rwlock_read_lock_prepare(&ops[2], &rwlock));
    skua_rwlock_write_unlock(&rwlock);
    mc_assert(skuai_op_is_done(reader) && skuai_op_is_done(another) && !skuai_op_is_done(writer), "not the readers");
    skua_rwlock_read_unlock(&rwlock);
    mc_assert(!skuai_op_is_done(writer), "a reader is inside");
    skua_rwlock_read_unlock(&rwlock);
    mc_assert(skuai_op_is_done(writer), "not the writer");
    skua_rwlock_write_unlock(&rwlock);
}
/* A writer who gives up lets nobody in before another one. */
static void gives_up_before_another(void *arg)
{
    (void)arg;
    mc_assert(skua_rwlock_try_read_lock(&rwlock) == 0, "it is free");
    skua_op *first = skuai_op_start(skua_rwlock_write_lock_prepare(&ops[0], &rwlock));
    skua_op *second = skuai_op_start(skua_rwlock_write_lock_prepare(&ops[1], &rwlock));
    skua_op *reader = skuai_op_start(skua_rwlock_read_lock_prepare(&ops[2], &rwlock));
    mc_assert(world_kind(first)->withdraw(first), "nobody has it");
    mc_assert(!skuai_op_is_done(reader), "a reader has overtaken a writer");
    skua_rwlock_read_unlock(&rwlock);
    mc_assert(skuai_op_is_done(second) && !skuai_op_is_done(reader), "not the writer");
    skua_rwlock_write_unlock(&rwlock);
    mc_assert(skuai_op_is_done(reader), "not the reader");
    skua_rwlock_read_unlock(&rwlock);
}
static void given_up_setup(void)
{
    reset();
    mc_thread(gives_up_before_another, NULL);
}
MC_TEST(given_up_before_another, .setup = given_up_setup, .finish = finish);
static void turns_setup(void)
{
    reset();
    mc_thread(takes_turns, NULL);
}
MC_TEST(turns, .setup = turns_setup, .finish = finish);

/* What finds misuse finds it, and leaves the lock as it is. */
static void misuses(void *arg)
{
    (void)arg;
    world_misuses_wanted = 9;
    skua_rwlock_read_unlock(&rwlock);
    skua_rwlock_write_unlock(&rwlock);
    skua_rwlock_assert_read_held(&rwlock);
    skua_rwlock_assert_write_held(&rwlock);
    mc_assert(world_misuses == 4 && !skua_rwlock_is_locked(&rwlock), "nobody holds it");
    mc_assert(skua_rwlock_try_read_lock(&rwlock) == 0 && !skua_rwlock_is_write_locked(&rwlock), "by a reader");
    skua_rwlock_fini(&rwlock);
    skua_rwlock_write_unlock(&rwlock);
    skua_rwlock_downgrade(&rwlock);
    skua_rwlock_assert_write_held(&rwlock);
    mc_assert(world_misuses == 8 && skua_rwlock_is_locked(&rwlock), "a reader holds it");
    skua_rwlock_read_unlock(&rwlock);
    mc_assert(skua_rwlock_try_write_lock(&rwlock) == 0 && skua_rwlock_try_read_lock(&rwlock) == -EAGAIN, "by a writer");
    skua_rwlock_read_unlock(&rwlock);
    mc_assert(world_misuses == 9 && skua_rwlock_is_write_locked(&rwlock), "a writer holds it");
    skua_rwlock_write_unlock(&rwlock);
    mc_assert(!skua_rwlock_is_locked(&rwlock), "it is not free at the end");
}
static void misused_setup(void)
{
    reset();
    mc_thread(misuses, NULL);
}
MC_TEST(misused, .setup = misused_setup, .finish = finish);

/* Known wrong: readers who go by a writer that waits. What shows it: two of them keep him out for ever; here, that he
 * waits while somebody comes later and is inside. */
static bool writer_waits;
static void barges(void *arg)
{
    (void)arg;
    if (!writer_waits)
        return;
    uint32_t seen = skuai_load_32(&rwlock.state, SKUAI_RELAXED);
    if ((seen & 1) == 0 && skuai_cas_32(&rwlock.state, &seen, seen + 4, SKUAI_ACQUIRE)) {
        mc_assert(!writer_waits, "a reader has overtaken a writer");
        skua_rwlock_read_unlock(&rwlock);
    }
}
static void writes_visibly(void *arg)
{
    (void)arg;
    skua_op *op = skua_rwlock_write_lock_prepare(&ops[mc.current], &rwlock);
    skuai_op_start(op);
    writer_waits = !skuai_op_is_done(op);
    (void)skua_await(op);
    writer_waits = false;
    skua_rwlock_write_unlock(&rwlock);
}
static void barging_setup(void)
{
    reset();
    writer_waits = false;
    mc_thread(reads, NULL);
    mc_thread(writes_visibly, NULL);
    mc_thread(barges, NULL);
}
MC_TEST_MUST_FAIL(readers_barge, "overtaken a writer", .setup = barging_setup);

/* The real ones do not. */
static void tries_to_barge(void *arg)
{
    (void)arg;
    bool waited = writer_waits;
    if (skua_rwlock_try_read_lock(&rwlock) == 0) {
        mc_assert(!waited || !writer_waits, "a reader has overtaken a writer");
        skua_rwlock_read_unlock(&rwlock);
    }
}
static void no_barging_setup(void)
{
    reset();
    writer_waits = false;
    mc_thread(reads, NULL);
    mc_thread(writes_visibly, NULL);
    mc_thread(tries_to_barge, NULL);
}
MC_TEST(no_reader_overtakes, .setup = no_barging_setup, .finish = finish, .stale = 1);
