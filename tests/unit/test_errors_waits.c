/* Every call that waits, interrupted: in a task that is cancelled before it begins or while it waits -ECANCELED, and
 * inside of a deadline that has passed or passes -ETIMEDOUT. What the call has and has not done then is tested by the
 * tests of the things; that no place where it could be cancelled is forgotten by tests/sim.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/with_runtime.h"

/* Nobody does anything with these but wait. */
struct things {
    skua_barrier barrier;
    skua_broadcast *broadcast;
    skua_broadcast_receiver receiver;
    skua_cancel_token token;
    skua_channel *full, *empty;
    skua_cond cond;
    skua_mutex mutex, held;
    skua_event event;
    skua_group group, limited;
    skua_notify notify;
    skua_once once;
    skua_oneshot oneshot;
    skua_rate_limiter limiter;
    skua_rwlock rwlock, read;
    skua_semaphore semaphore;
    skua_wait_group wait_group;
    skua_watch *watch;
    skua_task *sleeper;
};

enum moment { BEFORE, MEANWHILE };

struct deadline {
    skua_fiber_fn *fn;
    void *arg;
    enum moment moment;
};

static int in_deadline(void *arg)
{
    struct deadline *deadline = arg;
    SKUA_DEADLINE(deadline->moment == BEFORE ? 0 : 2 * SKUA_MS);
    return deadline->fn(deadline->arg);
}

/* Runs a function that waits as a task of its own: cancelled, and inside of a deadline. */
static void check_interrupted(skua_fiber_fn *fn, void *arg, int canceled, int expired)
{
    for (enum moment moment = BEFORE; moment <= MEANWHILE; moment++) {
        struct deadline deadline = { fn, arg, moment };
        int64_t result;
        skua_task *task;
        CHECK_OK(skua_spawn(&task, fn, arg));
        if (moment == MEANWHILE)
            CHECK_OK(skua_sleep(SKUA_MS));
        skua_cancel(task);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, canceled);
        CHECK_OK(skua_spawn(&task, in_deadline, &deadline));
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, expired);
    }
}

/* ---- time, tasks ------------------------------------------------------------------------------------------------- */

static int sleeps(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

static int sleeps_until(void *arg)
{
    (void)arg;
    return skua_sleep_until(SKUA_NEVER);
}

static int parks(void *arg)
{
    int rc;
    (void)arg;
    do
        rc = skua_park();
    while (rc == 0);
    return rc;
}

static int joins(void *arg)
{
    struct things *things = arg;
    return skua_join(things->sleeper, NULL);
}

static int awaits(void *arg)
{
    struct things *things = arg;
    skua_op op;
    return (int)skua_await(skua_event_wait_start(&op, &things->event));
}

static int awaits_until(void *arg)
{
    struct things *things = arg;
    skua_op op;
    return (int)skua_await_until(skua_event_wait_start(&op, &things->event), SKUA_NEVER);
}

static int selects(void *arg)
{
    struct things *things = arg;
    skua_op op, *arms[] = { skua_event_wait_prepare(&op, &things->event) };
    return (int)skua_select(arms, 1);
}

static int selects_until(void *arg)
{
    struct things *things = arg;
    skua_op op, *arms[] = { skua_event_wait_prepare(&op, &things->event) };
    return (int)skua_select_until(arms, 1, SKUA_NEVER);
}

static int ticks(void *arg)
{
    skua_interval interval = skua_interval_start(SKUA_S, SKUA_INTERVAL_DELAY);
    uint64_t missed;
    (void)arg;
    return skua_interval_tick(&interval, &missed);
}

static void check_tasks(struct things *things)
{
    check_interrupted(sleeps, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(sleeps_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(parks, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(joins, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(awaits, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(awaits_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(selects, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(selects_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(ticks, things, -ECANCELED, -ETIMEDOUT);
}

/* ---- locks and signals ------------------------------------------------------------------------------------------- */

static int locks(void *arg)
{
    struct things *things = arg;
    return skua_mutex_lock(&things->held);
}

static int locks_until(void *arg)
{
    struct things *things = arg;
    return skua_mutex_lock_until(&things->held, SKUA_NEVER);
}

static int read_locks(void *arg)
{
    struct things *things = arg;
    return skua_rwlock_read_lock(&things->rwlock);
}

static int read_locks_until(void *arg)
{
    struct things *things = arg;
    return skua_rwlock_read_lock_until(&things->rwlock, SKUA_NEVER);
}

static int write_locks(void *arg)
{
    struct things *things = arg;
    return skua_rwlock_write_lock(&things->read);
}

static int write_locks_until(void *arg)
{
    struct things *things = arg;
    return skua_rwlock_write_lock_until(&things->read, SKUA_NEVER);
}

static int waits_for_a_condition(void *arg)
{
    struct things *things = arg;
    skua_mutex_lock_shielded(&things->mutex);
    int rc = skua_cond_wait(&things->cond, &things->mutex);
    skua_mutex_unlock(&things->mutex);
    return rc;
}

static int waits_for_a_condition_until(void *arg)
{
    struct things *things = arg;
    skua_mutex_lock_shielded(&things->mutex);
    int rc = skua_cond_wait_until(&things->cond, &things->mutex, SKUA_NEVER);
    skua_mutex_unlock(&things->mutex);
    return rc;
}

static int waits_at_a_barrier(void *arg)
{
    struct things *things = arg;
    return skua_barrier_wait(&things->barrier);
}

static int waits_at_a_barrier_until(void *arg)
{
    struct things *things = arg;
    return skua_barrier_wait_until(&things->barrier, SKUA_NEVER);
}

static int waits_for_an_event(void *arg)
{
    struct things *things = arg;
    return skua_event_wait(&things->event);
}

static int waits_for_an_event_until(void *arg)
{
    struct things *things = arg;
    return skua_event_wait_until(&things->event, SKUA_NEVER);
}

static int waits_for_a_notice(void *arg)
{
    struct things *things = arg;
    return skua_notify_wait(&things->notify);
}

static int waits_for_a_notice_until(void *arg)
{
    struct things *things = arg;
    return skua_notify_wait_until(&things->notify, SKUA_NEVER);
}

static int waits_for_a_token(void *arg)
{
    struct things *things = arg;
    return skua_cancel_token_wait(&things->token);
}

static int waits_for_a_token_until(void *arg)
{
    struct things *things = arg;
    return skua_cancel_token_wait_until(&things->token, SKUA_NEVER);
}

static int waits_for_a_wait_group(void *arg)
{
    struct things *things = arg;
    return skua_wait_group_wait(&things->wait_group);
}

static int waits_for_a_wait_group_until(void *arg)
{
    struct things *things = arg;
    return skua_wait_group_wait_until(&things->wait_group, SKUA_NEVER);
}

static int acquires(void *arg)
{
    struct things *things = arg;
    return skua_semaphore_acquire(&things->semaphore, 1);
}

static int acquires_until(void *arg)
{
    struct things *things = arg;
    return skua_semaphore_acquire_until(&things->semaphore, 1, SKUA_NEVER);
}

static int acquires_tokens(void *arg)
{
    struct things *things = arg;
    return skua_rate_limiter_acquire(&things->limiter, 1);
}

static int acquires_tokens_until(void *arg)
{
    struct things *things = arg;
    return skua_rate_limiter_acquire_until(&things->limiter, 1, SKUA_NEVER);
}

static int returns_0(void *arg)
{
    (void)arg;
    return 0;
}

static int runs_once(void *arg)
{
    struct things *things = arg;
    return skua_once_run(&things->once, returns_0, NULL);
}

static int enters_once(void *arg)
{
    struct things *things = arg;
    return skua_once_enter(&things->once);
}

static int enters_once_until(void *arg)
{
    struct things *things = arg;
    return skua_once_enter_until(&things->once, SKUA_NEVER);
}

static void check_locks(struct things *things)
{
    check_interrupted(locks, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(locks_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(read_locks, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(read_locks_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(write_locks, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(write_locks_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_condition, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_condition_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_at_a_barrier, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_at_a_barrier_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_an_event, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_an_event_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_notice, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_notice_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_token, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_token_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_wait_group, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_wait_group_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(acquires, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(acquires_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(acquires_tokens, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(acquires_tokens_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(runs_once, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(enters_once, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(enters_once_until, things, -ECANCELED, -ETIMEDOUT);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int sends(void *arg)
{
    struct things *things = arg;
    return skua_send(things->full, &(int){ 1 });
}

static int sends_until(void *arg)
{
    struct things *things = arg;
    return skua_send_until(things->full, &(int){ 1 }, SKUA_NEVER);
}

static int sends_many(void *arg)
{
    struct things *things = arg;
    return (int)skua_send_many(things->full, (int[]){ 1, 2 }, 2);
}

static int receives(void *arg)
{
    struct things *things = arg;
    int value;
    return skua_receive(things->empty, &value);
}

static int receives_until(void *arg)
{
    struct things *things = arg;
    int value;
    return skua_receive_until(things->empty, &value, SKUA_NEVER);
}

static int receives_many(void *arg)
{
    struct things *things = arg;
    int values[2];
    return (int)skua_receive_many(things->empty, values, 2);
}

static int receives_from_all(void *arg)
{
    struct things *things = arg;
    int value;
    return skua_broadcast_receive(&things->receiver, &value);
}

static int receives_from_all_until(void *arg)
{
    struct things *things = arg;
    int value;
    return skua_broadcast_receive_until(&things->receiver, &value, SKUA_NEVER);
}

static int receives_the_one(void *arg)
{
    struct things *things = arg;
    int value;
    return skua_oneshot_receive(&things->oneshot, &value);
}

static int receives_the_one_until(void *arg)
{
    struct things *things = arg;
    int value;
    return skua_oneshot_receive_until(&things->oneshot, &value, SKUA_NEVER);
}

static int waits_for_no_receiver(void *arg)
{
    struct things *things = arg;
    return skua_oneshot_unwanted(&things->oneshot);
}

static int waits_for_no_receiver_until(void *arg)
{
    struct things *things = arg;
    return skua_oneshot_unwanted_until(&things->oneshot, SKUA_NEVER);
}

static int watches(void *arg)
{
    struct things *things = arg;
    uint64_t seen = skua_watch_version(things->watch);
    int value;
    return skua_watch_changed(things->watch, &seen, &value);
}

static int watches_until(void *arg)
{
    struct things *things = arg;
    uint64_t seen = skua_watch_version(things->watch);
    int value;
    return skua_watch_changed_until(things->watch, &seen, &value, SKUA_NEVER);
}

static void check_values(struct things *things)
{
    check_interrupted(sends, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(sends_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(sends_many, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_many, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_from_all, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_from_all_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_the_one, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_the_one_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_no_receiver, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_no_receiver_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(watches, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(watches_until, things, -ECANCELED, -ETIMEDOUT);
}

/* ---- groups and gatherings --------------------------------------------------------------------------------------- */

static int takes_the_next(void *arg)
{
    struct things *things = arg;
    skua_group_result result;
    return skua_group_next(&things->group, &result);
}

static int takes_the_next_until(void *arg)
{
    struct things *things = arg;
    skua_group_result result;
    return skua_group_next_until(&things->group, &result, SKUA_NEVER);
}

static int starts_a_member(void *arg)
{
    struct things *things = arg;
    return skua_group_go(&things->limited, returns_0, NULL);
}

static int reserves(void *arg)
{
    struct things *things = arg;
    skua_group_op op;
    return (int)skua_await(skua_group_reserve_start(&op, &things->limited));
}

static int reserves_in_a_select(void *arg)
{
    struct things *things = arg;
    skua_group_op op;
    return (int)SKUA_SELECT(skua_group_reserve_prepare(&op, &things->limited));
}

/* A wait that is interrupted has its members cancelled: each has a group of its own. */
static int waits_for_a_group(void *arg)
{
    skua_group group;
    skua_group_init(&group);
    int rc = skua_group_go(&group, sleeps, arg);
    int64_t result = skua_group_wait(&group);
    skua_group_fini(&group);
    return rc < 0 ? rc : (int)result;
}

static int gathers(void *arg)
{
    skua_call calls[] = { { sleeps, arg, 0 }, { sleeps, arg, 0 } };
    return (int)skua_gather(calls, 2, NULL);
}

static int gathers_one(void *arg)
{
    skua_call calls[] = { { sleeps, arg, 0 }, { sleeps, arg, 0 } };
    return (int)skua_gather_race(calls, 2, NULL);
}

static int gathers_all(void *arg)
{
    skua_call calls[] = { { sleeps, arg, 0 }, { sleeps, arg, 0 } };
    return (int)skua_gather_settled(calls, 2, NULL);
}

static void check_groups(struct things *things)
{
    check_interrupted(takes_the_next, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(takes_the_next_until, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(starts_a_member, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(reserves, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(reserves_in_a_select, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_group, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(gathers, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(gathers_one, things, -ECANCELED, -ETIMEDOUT);
    check_interrupted(gathers_all, things, -ECANCELED, -ETIMEDOUT);
}

static int waits_for_everything(void *arg)
{
    struct things things;
    int place;
    (void)arg;
    memset(&things, 0, sizeof things);
    skua_barrier_init(&things.barrier, 2);
    CHECK_OK(skua_broadcast_create(&things.broadcast, sizeof(int), 4));
    skua_broadcast_subscribe(things.broadcast, &things.receiver);
    skua_cancel_token_init(&things.token, NULL);
    CHECK_OK(skua_channel_create(&things.full, sizeof(int), 1));
    CHECK_OK(skua_send(things.full, &(int){ 0 }));
    CHECK_OK(skua_channel_create(&things.empty, sizeof(int), 1));
    skua_cond_init(&things.cond);
    skua_mutex_init(&things.mutex);
    skua_mutex_init(&things.held);
    skua_mutex_lock_shielded(&things.held);
    skua_event_init(&things.event, SKUA_EVENT_MANUAL);
    skua_group_init_with(&things.group, &(skua_group_attr){ .flags = SKUA_GROUP_COLLECT | SKUA_GROUP_KEEP_GOING });
    skua_group_init_with(&things.limited, &(skua_group_attr){ .limit = 1, .flags = SKUA_GROUP_KEEP_GOING });
    CHECK_OK(skua_group_go(&things.group, sleeps, NULL));
    CHECK_OK(skua_group_go(&things.limited, sleeps, NULL));
    skua_notify_init(&things.notify);
    CHECK_EQ(skua_once_enter(&things.once), 1);
    skua_oneshot_init(&things.oneshot, &place, sizeof place);
    CHECK_OK(skua_rate_limiter_init(&things.limiter, 1, 1000 * SKUA_S, 1));
    CHECK_OK(skua_rate_limiter_acquire(&things.limiter, 1));
    skua_rwlock_init(&things.rwlock);
    skua_rwlock_write_lock_shielded(&things.rwlock);
    skua_rwlock_init(&things.read);
    skua_rwlock_read_lock_shielded(&things.read);
    skua_semaphore_init(&things.semaphore, 0);
    skua_wait_group_init(&things.wait_group, 1);
    CHECK_OK(skua_watch_create(&things.watch, sizeof(int), NULL));
    CHECK_OK(skua_spawn(&things.sleeper, sleeps, NULL));

    check_tasks(&things);
    check_locks(&things);
    check_values(&things);
    check_groups(&things);

    skua_cancel(things.sleeper);
    CHECK_OK(skua_join(things.sleeper, NULL));
    skua_group_cancel(&things.group);
    skua_group_cancel(&things.limited);
    CHECK_EQ(skua_group_wait(&things.group), -ECANCELED);
    CHECK_EQ(skua_group_wait(&things.limited), -ECANCELED);
    skua_group_fini(&things.group);
    skua_group_fini(&things.limited);
    CHECK_OK(skua_watch_destroy(things.watch));
    skua_rwlock_read_unlock(&things.read);
    skua_rwlock_write_unlock(&things.rwlock);
    skua_rwlock_fini(&things.read);
    skua_rwlock_fini(&things.rwlock);
    skua_once_leave(&things.once, true);
    skua_mutex_unlock(&things.held);
    skua_mutex_fini(&things.held);
    skua_mutex_fini(&things.mutex);
    skua_cond_fini(&things.cond);
    CHECK_OK(skua_channel_destroy(things.empty));
    CHECK_OK(skua_channel_destroy(things.full));
    skua_cancel_token_fini(&things.token);
    skua_broadcast_unsubscribe(&things.receiver);
    CHECK_OK(skua_broadcast_destroy(things.broadcast));
    return 0;
}

TEST(what_waits_for_other_tasks) { run_everywhere(waits_for_everything, NULL); }

/* ---- the outside ------------------------------------------------------------------------------------------------- */

struct outside {
    skua_stream *quiet[2], *full[2]; /* a pair in which nobody writes, and one in which nobody reads */
    skua_listener *listener;
    skua_address address;            /* of a listener that accepts nobody, whose queue is full */
    skua_fd *watch;
    skua_udp *udp;
    skua_signals *signals;
};

static int reads(void *arg)
{
    struct outside *outside = arg;
    char byte;
    return (int)skua_read(outside->quiet[0], &byte, 1);
}

static int reads_into_parts(void *arg)
{
    struct outside *outside = arg;
    char byte;
    return (int)skua_readv(outside->quiet[0], &(struct iovec){ &byte, 1 }, 1);
}

static int writes(void *arg)
{
    struct outside *outside = arg;
    return (int)skua_write(outside->full[0], "x", 1);
}

static int writes_parts(void *arg)
{
    struct outside *outside = arg;
    return (int)skua_writev(outside->full[0], &(struct iovec){ "x", 1 }, 1);
}

static int copies(void *arg)
{
    struct outside *outside = arg;
    return (int)skua_copy(outside->full[1], outside->quiet[0], UINT64_MAX, NULL);
}

static int accepts(void *arg)
{
    struct outside *outside = arg;
    skua_stream *stream;
    return skua_accept(outside->listener, &stream, NULL);
}

static int waits_for_readiness(void *arg)
{
    struct outside *outside = arg;
    return skua_fd_wait(outside->watch, SKUA_READABLE);
}

static int waits_for_readiness_until(void *arg)
{
    struct outside *outside = arg;
    return skua_fd_wait_until(outside->watch, SKUA_READABLE, SKUA_NEVER);
}

static int receives_a_datagram(void *arg)
{
    struct outside *outside = arg;
    char byte;
    return (int)skua_udp_receive(outside->udp, &byte, 1, NULL);
}

static int waits_for_a_signal(void *arg)
{
    struct outside *outside = arg;
    return skua_signal_wait(outside->signals);
}

static int waits_for_the_outside(void *arg)
{
    struct outside outside;
    char block[4096] = { 0 };
    int fds[2];
    (void)arg;
    CHECK_OK(skua_stream_pair(outside.quiet, NULL));
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    while (write(fds[0], block, sizeof block) > 0)
        ;
    while (write(fds[0], block, 1) > 0)
        ;
    CHECK_OK(skua_stream_open(&outside.full[0], NULL, fds[0]));
    CHECK_OK(skua_stream_open(&outside.full[1], NULL, fds[1]));
    CHECK_OK(skua_listen(&outside.listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_open(&outside.udp, "udp://127.0.0.1:0", NULL));
    CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    CHECK_OK(skua_fd_open(&outside.watch, NULL, fds[0]));
    CHECK_OK(skua_signals_open(&outside.signals, NULL, (const int[]){ SIGUSR2 }, 1));

    check_interrupted(reads, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(reads_into_parts, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(writes, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(writes_parts, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(copies, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(accepts, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_readiness, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_readiness_until, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(receives_a_datagram, &outside, -ECANCELED, -ETIMEDOUT);
    check_interrupted(waits_for_a_signal, &outside, -ECANCELED, -ETIMEDOUT);

    skua_signals_close(outside.signals);
    skua_fd_close(outside.watch);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    skua_udp_close(outside.udp);
    skua_listener_close(outside.listener);
    for (int i = 0; i < 2; i++) {
        skua_stream_close(outside.full[i]);
        skua_stream_close(outside.quiet[i]);
    }
    return 0;
}

TEST(what_waits_for_the_outside) { CHECK_EQ(run_on(2, waits_for_the_outside, NULL), 0); }
