/* What threads are to the C library and to a program around Skua: pthread_cancel, signals, thread-locals. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/with_runtime.h"

static void nap_ms(long ms) { nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL); }

static skua_runtime *create(skua_config config)
{
    skua_runtime *rt;
    config.ignore_environment = true;
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

/* ---- pthread_cancel of Skua's threads ---------------------------------------------------------------------------- */

static int64_t sleeps_cancelled(void *arg)
{
    (void)arg;
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    nap_ms(1); /* a cancellation point */
    return 4;
}

/* Of its own worker, again and again, with all that wakes and sleeps in the kernel in between. */
static int is_cancelled(void *arg)
{
    skua_stream **pair = arg;
    char byte = 'x';
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(pthread_cancel(pthread_self()), 0);
        nap_ms(0);
        CHECK_OK(skua_sleep(100 * SKUA_US));
        CHECK_EQ(skua_write(pair[0], &byte, 1), 1);
        CHECK_EQ(skua_read(pair[1], &byte, 1), 1);
        CHECK_EQ(skua_blocking(sleeps_cancelled, NULL), 4);
        pthread_testcancel();
    }
    return 0;
}

TEST(workers_cannot_be_cancelled)
{
    test_allow_heap_growth(1 << 16); /* the unwinder, which pthread_cancel() loads */
    skua_runtime *rt = create((skua_config){ .workers = 2 });
    int fds[2];
    skua_stream *pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_stream_open(&pair[i], rt, fds[i]));
    CHECK_EQ(skua_block_on(rt, is_cancelled, pair), 0);
    for (int i = 0; i < 2; i++)
        skua_stream_close(pair[i]);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- pthread_cancel of others, which wait in a call of Skua's --------------------------------------------------- */

struct waiting {
    skua_runtime *rt;
    skua_event event;
    skua_channel *channel;
    skua_stream *stream;
    int waits, past; /* __atomic */
    int64_t (*call)(struct waiting *waiting);
};

static int waits_for_event(void *arg) { return skua_event_wait(arg); }

static int64_t blocks_on(struct waiting *w) { return skua_block_on(w->rt, waits_for_event, &w->event); }
static int64_t waits_event(struct waiting *w) { return skua_event_wait(&w->event); }
static int64_t receives(struct waiting *w)
{
    char byte;
    return skua_receive(w->channel, &byte) == 1 ? 0 : -EIO;
}
static int64_t joins(struct waiting *w)
{
    skua_task *task;
    int rc = skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = w->rt }, waits_for_event, &w->event);
    return rc < 0 ? rc : skua_join(task, NULL);
}
static int64_t sleeps(struct waiting *w)
{
    (void)w;
    return skua_sleep(60 * SKUA_MS);
}

static void *waits(void *arg)
{
    struct waiting *w = arg;
    __atomic_store_n(&w->waits, 1, __ATOMIC_RELEASE);
    CHECK_EQ(w->call(w), 0);
    __atomic_store_n(&w->past, 1, __ATOMIC_RELEASE); /* the call has come to its end */
    pthread_testcancel();
    return NULL;
}

/* The call is no cancellation point: it ends as if nothing was, and the thread at its next one. */
static void check_cancelled_in(struct waiting *w, int64_t (*call)(struct waiting *w))
{
    pthread_t thread;
    void *result;
    char byte = 'x';
    w->call = call;
    w->waits = w->past = 0;
    skua_event_init(&w->event, SKUA_EVENT_MANUAL);
    CHECK_EQ(pthread_create(&thread, NULL, waits, w), 0);
    while (__atomic_load_n(&w->waits, __ATOMIC_ACQUIRE) == 0)
        nap_ms(1);
    nap_ms(5);
    CHECK_EQ(pthread_cancel(thread), 0);
    nap_ms(15);
    if (call != sleeps)
        CHECK_EQ(__atomic_load_n(&w->past, __ATOMIC_ACQUIRE), 0);
    skua_event_set(&w->event);
    if (call == receives)
        CHECK_EQ(skua_send(w->channel, &byte), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_EQ(w->past, 1);
}

TEST(a_call_that_waits_is_no_cancellation_point)
{
    struct waiting w = { .rt = create((skua_config){ .workers = 1 }) };
    CHECK_OK(skua_channel_create(&w.channel, 1, 1));
    int64_t (*const calls[])(struct waiting *) = { blocks_on, waits_event, receives, joins, sleeps };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        check_cancelled_in(&w, calls[i]);
    skua_channel_destroy(w.channel);
    CHECK_OK(skua_runtime_destroy(w.rt));
}

/* Nor are those that only wake, or make and end a runtime: what they have begun is done. */
static void *makes_while_cancelled(void *arg)
{
    struct waiting *w = arg;
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    skua_event_set(&w->event); /* its waiter sleeps in the poller: the kick is a system call */
    skua_runtime *rt = create((skua_config){ .workers = 2 });
    skua_runtime *embedded = create((skua_config){ .embed = true });
    CHECK_EQ(skua_turn(embedded, SKUA_MS), 0);
    CHECK_EQ(skua_block_on(embedded, waits_for_event, &w->event), 0);
    CHECK_EQ(skua_block_on(rt, waits_for_event, &w->event), 0);
    skua_stream_close(w->stream);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_OK(skua_runtime_destroy(embedded));
    __atomic_store_n(&w->past, 1, __ATOMIC_RELEASE);
    pthread_testcancel();
    return NULL;
}

TEST(what_has_begun_is_done)
{
    struct waiting w = { .rt = create((skua_config){ .workers = 1 }) };
    pthread_t thread;
    void *result;
    skua_task *task;
    int fds[2];
    skua_event_init(&w.event, SKUA_EVENT_MANUAL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_OK(skua_stream_open(&w.stream, w.rt, fds[0]));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = w.rt }, waits_for_event, &w.event));
    nap_ms(5);
    CHECK_EQ(pthread_create(&thread, NULL, makes_while_cancelled, &w), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_EQ(w.past, 1);
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(close(fds[1]), 0);
    CHECK_OK(skua_runtime_destroy(w.rt));
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t handled;
static pthread_t handled_on;
static void handle(int number)
{
    (void)number;
    handled_on = pthread_self();
    handled = handled + 1;
}

static void set_handler(struct sigaction *before)
{
    struct sigaction action = { .sa_handler = handle }; /* no SA_RESTART: system calls are interrupted */
    sigemptyset(&action.sa_mask);
    handled = 0;
    CHECK_EQ(sigaction(SIGUSR1, &action, before), 0);
}

static bool is_blocked(int number)
{
    sigset_t mask;
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    return sigismember(&mask, number) == 1;
}

static int64_t looks_at_mask(void *arg)
{
    (void)arg;
    CHECK(is_blocked(SIGUSR1) && is_blocked(SIGTERM) && is_blocked(SIGINT) && is_blocked(SIGCHLD));
    CHECK(!is_blocked(SIGSEGV) && !is_blocked(SIGBUS) && !is_blocked(SIGFPE) && !is_blocked(SIGABRT));
    return 1;
}

static int looks_and_signals(void *arg)
{
    (void)looks_at_mask(arg);
    CHECK_EQ(skua_blocking(looks_at_mask, NULL), 1);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(kill(getpid(), SIGUSR1), 0); /* the process's: for a thread that takes it */
        CHECK_OK(skua_sleep(SKUA_MS));
    }
    return 0;
}

TEST(signals_go_to_the_programs_threads)
{
    struct sigaction before;
    skua_runtime *rt = create((skua_config){ .workers = 2 });
    set_handler(&before);
    CHECK(!is_blocked(SIGUSR1));
    CHECK_EQ(skua_block_on(rt, looks_and_signals, NULL), 0); /* which is interrupted, and waits on */
    CHECK(handled > 0);
    CHECK(pthread_equal(handled_on, pthread_self()));
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* A wait that a signal interrupts goes on: there is no -EINTR. */
static void *is_interrupted(void *arg)
{
    struct waiting *w = arg;
    uint64_t begin = skua_now();
    __atomic_store_n(&w->waits, 1, __ATOMIC_RELEASE);
    CHECK_EQ(w->call(w), 0);
    CHECK(w->call != sleeps || skua_now() - begin >= 60 * SKUA_MS);
    return NULL;
}

TEST(no_call_is_interrupted)
{
    struct sigaction before;
    struct waiting w = { .rt = create((skua_config){ .workers = 1 }) };
    int64_t (*const calls[])(struct waiting *) = { blocks_on, waits_event, joins, sleeps };
    set_handler(&before);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        pthread_t thread;
        w.call = calls[i];
        w.waits = 0;
        skua_event_init(&w.event, SKUA_EVENT_MANUAL);
        CHECK_EQ(pthread_create(&thread, NULL, is_interrupted, &w), 0);
        while (__atomic_load_n(&w.waits, __ATOMIC_ACQUIRE) == 0)
            nap_ms(1);
        for (int k = 0; k < 10; k++) {
            nap_ms(1);
            CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
        }
        skua_event_set(&w.event);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    CHECK(handled > 0);
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
    CHECK_OK(skua_runtime_destroy(w.rt));
}

/* The embedding thread is the program's own, and its signals come in the middle of a task, too. */
static int raises(void *arg)
{
    skua_stream **pair = arg;
    char byte = 'x';
    CHECK(!is_blocked(SIGUSR1));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(raise(SIGUSR1), 0);
        CHECK_EQ(handled, i + 1);
        CHECK_EQ(skua_write(pair[0], &byte, 1), 1);
        CHECK_EQ(skua_read(pair[1], &byte, 1), 1);
        CHECK_OK(skua_sleep(100 * SKUA_US));
    }
    return 0;
}

TEST(signals_amid_a_turn)
{
    struct sigaction before;
    stack_t stack_before, stack_after;
    skua_runtime *rt = create((skua_config){ .embed = true });
    int fds[2];
    skua_stream *pair[2];
    CHECK_EQ(sigaltstack(NULL, &stack_before), 0);
    set_handler(&before);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_stream_open(&pair[i], rt, fds[i]));
    CHECK_EQ(skua_block_on(rt, raises, pair), 0);
    CHECK_EQ(handled, 20);
    for (int i = 0; i < 2; i++)
        skua_stream_close(pair[i]);
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
    CHECK_EQ(sigaltstack(NULL, &stack_after), 0); /* as it was */
    CHECK(stack_after.ss_sp == stack_before.ss_sp && stack_after.ss_flags == stack_before.ss_flags);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- thread-locals ----------------------------------------------------------------------------------------------- */

/* Read by functions of their own: a compiler may keep a thread-local's address over a call that waits. */
static _Thread_local int local;
static __attribute__((noinline)) int get_local(void)
{
    __asm__ volatile("" ::: "memory");
    return local;
}
static __attribute__((noinline)) void set_local(int value)
{
    __asm__ volatile("" ::: "memory");
    local = value;
}

/* After a wait it is on whichever worker, with that one's thread-locals, its errno among them. */
static skua_local task_local = SKUA_LOCAL_INIT(NULL);
static int number;

static int wanders(void *arg)
{
    int *moved = arg;
    pid_t begun_on = gettid(); /* compilers take it that pthread_self() says the same as before */
    CHECK_OK(skua_local_set(&task_local, &number));
    for (int i = 0; i < 1000 && __atomic_load_n(moved, __ATOMIC_RELAXED) == 0; i++) {
        CHECK_OK(skua_yield());
        CHECK(close(-1) < 0);
        CHECK_EQ(skua_errno(), EBADF); /* of the thread that it is on */
        CHECK(skua_local_get(&task_local) == &number); /* what goes with the task */
        if (begun_on != gettid())
            __atomic_store_n(moved, 1, __ATOMIC_RELAXED);
        nap_ms(0);
    }
    return 0;
}

static int lets_wander(void *moved)
{
    skua_group group;
    skua_group_init(&group);
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_group_go(&group, wanders, moved));
    return (int)skua_group_wait(&group);
}

TEST(a_fiber_wakes_on_another_thread)
{
    skua_runtime *rt = create((skua_config){ .workers = 2 });
    int moved = 0;
    for (int i = 0; i < 100 && !moved; i++)
        CHECK_EQ(skua_block_on(rt, lets_wander, &moved), 0);
    CHECK_EQ(moved, 1);
    CHECK_OK(skua_runtime_destroy(rt));
}

static int stays(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        set_local(i);
        CHECK_OK(skua_sleep(10 * SKUA_US));
        CHECK_EQ(get_local(), i);
    }
    return 0;
}

TEST(of_an_embedded_runtime_it_does_not)
{
    skua_runtime *rt = create((skua_config){ .embed = true });
    CHECK_EQ(skua_block_on(rt, stays, NULL), 0);
    CHECK_EQ(get_local(), 19); /* of the embedding thread */
    CHECK_OK(skua_runtime_destroy(rt));
}
