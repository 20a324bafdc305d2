/* Embedded runtimes: a loop that knows of a descriptor and of skua_turn() and of nothing else. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { LONG_MS = 20000 }; /* a wake-up that has not come by then is lost */

static struct counted_memory memory;

static skua_runtime *create(skua_config config)
{
    skua_runtime *rt;
    config.embed = true;
    config.alloc = counted_alloc;
    config.free = counted_free;
    config.memory_context = &memory;
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

static void destroy(skua_runtime *rt)
{
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
    CHECK_EQ(memory.bytes, 0);
}

static bool is_readable(skua_runtime *rt, int timeout_ms)
{
    struct pollfd watched = { .fd = skua_embed_fd(rt), .events = POLLIN };
    int count;
    while ((count = poll(&watched, 1, timeout_ms)) < 0)
        CHECK_EQ(errno, EINTR);
    return count == 1;
}

/* A loop: turns only when it is told to. Returns how many turns it took. */
static uint64_t loop_until(skua_runtime *rt, const int *done, uint64_t budget_ns)
{
    uint64_t turns = 0;
    for (; !__atomic_load_n(done, __ATOMIC_ACQUIRE); turns++) {
        CHECK(is_readable(rt, LONG_MS));
        int rc = skua_turn(rt, budget_ns);
        CHECK(rc == 0 || rc == 1);
        CHECK(rc == 0 || is_readable(rt, 0)); /* there is more */
    }
    return turns;
}

static void settle(skua_runtime *rt)
{
    while (is_readable(rt, 0))
        CHECK_OK(skua_turn(rt, SKUA_NEVER));
}

static int threads_of_process(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    CHECK_EQ(closedir(folder), 0);
    return count;
}

static void busy(uint64_t ns)
{
    for (uint64_t until = skua_after(ns); skua_now() < until;)
        ;
}

/* ---- turns ------------------------------------------------------------------------------------------------------ */

struct work {
    pid_t thread; /* on which alone it may run */
    int rounds, runs, done;
    uint64_t busy_ns;
};

static int works(void *arg)
{
    struct work *work = arg;
    CHECK(work->thread == gettid());
    for (int i = 0; i < work->rounds; i++) {
        if (work->busy_ns != 0)
            busy(work->busy_ns);
        work->runs++; /* no lock, no atomic: there is one thread */
        skua_yield();
        CHECK(work->thread == gettid());
    }
    work->done = 1;
    return work->runs;
}

TEST(tasks_run_in_turns_on_the_thread_that_calls)
{
    int before = threads_of_process();
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    skua_spawn_attr attr = { .runtime = rt };
    struct work work = { .thread = gettid(), .rounds = 100 };
    skua_task *task;
    int64_t result;
    CHECK(is_readable(rt, 0)); /* a new one wants a turn */
    CHECK_EQ(skua_turn(rt, SKUA_NEVER), 0);
    CHECK(!is_readable(rt, 0));
    CHECK_OK(skua_spawn_with(&task, &attr, works, &work));
    CHECK(is_readable(rt, 0));
    CHECK_EQ(work.runs, 0);
    CHECK_EQ(skua_turn(rt, SKUA_NEVER), 0);
    CHECK_EQ(work.runs, 100);
    CHECK_OK(skua_try_join(task, &result));
    CHECK_EQ(result, 100);
    CHECK_EQ(skua_turn(rt, SKUA_NEVER), 0); /* without cause: no harm */
    CHECK(!is_readable(rt, 0));
    CHECK_EQ(threads_of_process(), before);
    destroy(rt);
}

TEST(a_turn_without_a_budget_runs_a_few)
{
    skua_runtime *rt = create((skua_config){ .workers = 1 });
    struct work work = { .thread = gettid(), .rounds = 100 };
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, works, &work));
    for (int before = 0; !work.done; before = work.runs) {
        int rc = skua_turn(rt, 0);
        CHECK(rc == 1 || work.done);
        CHECK(work.runs > before || work.done);
        CHECK(work.runs <= before + 4);
        CHECK(rc == 0 || is_readable(rt, 0));
    }
    settle(rt);
    destroy(rt);
}

TEST(a_turn_ends_in_time)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    skua_spawn_attr attr = { .runtime = rt };
    struct work work[8];
    for (int i = 0; i < 8; i++) {
        work[i] = (struct work){ .thread = gettid(), .rounds = 20, .busy_ns = 100 * SKUA_US };
        CHECK_OK(skua_spawn_with(NULL, &attr, works, &work[i]));
    }
    for (int last = 0, rc = 1; rc == 1;) {
        rc = skua_turn(rt, SKUA_MS);
        int runs = 0;
        for (int i = 0; i < 8; i++)
            runs += work[i].runs;
        CHECK(runs <= last + 10 + 4); /* a millisecond's, and what was not interrupted */
        last = runs;
    }
    for (int i = 0; i < 8; i++)
        CHECK_EQ(work[i].runs, 20);
    destroy(rt);
}

/* Two tasks that never wait, and one that was spawned from outside: it has its turn even if each turn is short. */
static int spins(void *stop)
{
    while (!*(const int *)stop)
        skua_yield();
    return 0;
}

static int sets(void *flag)
{
    *(int *)flag = 1;
    return 0;
}

TEST(short_turns_starve_nobody)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    skua_spawn_attr attr = { .runtime = rt };
    int stop = 0, turns = 0;
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn_with(NULL, &attr, spins, &stop));
    for (int i = 0; i < 5; i++)
        CHECK_EQ(skua_turn(rt, 0), 1);
    CHECK_OK(skua_spawn_with(NULL, &attr, sets, &stop));
    for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); turns++)
        CHECK_EQ(skua_turn(rt, 0), 1);
    CHECK(turns <= 4);
    settle(rt);
    destroy(rt);
}

/* ---- what makes it readable ------------------------------------------------------------------------------------- */

struct sleep {
    uint64_t ns, woke_ns;
    int done;
};

static int sleeps(void *arg)
{
    struct sleep *sleep = arg;
    int rc = skua_sleep(sleep->ns);
    if (rc < 0)
        return rc;
    sleep->woke_ns = skua_now();
    sleep->done = 1;
    return 0;
}

TEST(timers)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    skua_spawn_attr attr = { .runtime = rt };
    struct sleep sleep[3] = { { .ns = 30 * SKUA_MS }, { .ns = 10 * SKUA_MS }, { .ns = 3600 * SKUA_S } };
    uint64_t begin = skua_now();
    skua_task *task;
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn_with(NULL, &attr, sleeps, &sleep[i]));
    CHECK_OK(skua_spawn_with(&task, &attr, sleeps, &sleep[2]));
    settle(rt);
    uint64_t turns = loop_until(rt, &sleep[1].done, SKUA_MS);
    CHECK(sleep[1].woke_ns - begin >= sleep[1].ns);
    CHECK(!sleep[0].done);
    turns += loop_until(rt, &sleep[0].done, SKUA_MS);
    CHECK(sleep[0].woke_ns - begin >= sleep[0].ns);
    CHECK(turns <= 8); /* the wheel's levels, no more; it is not polled */
    settle(rt);
    CHECK(!is_readable(rt, 50));
    skua_cancel(task);
    skua_detach(task);
    CHECK(is_readable(rt, 0));
    settle(rt);
    CHECK_EQ(sleep[2].done, 0);
    destroy(rt);
}

struct mail {
    skua_channel *to;
    int count, received, done;
};

static int receives(void *arg)
{
    struct mail *mail = arg;
    int number;
    while (skua_receive(mail->to, &number) == 1) {
        CHECK_EQ(number, mail->received);
        mail->received++;
    }
    mail->done = 1;
    return 0;
}

static void *sends(void *arg)
{
    struct mail *mail = arg;
    for (int i = 0; i < mail->count; i++) {
        CHECK_EQ(skua_send(mail->to, &i), 0);
        if (i % 16 == 0)
            nanosleep(&(struct timespec){ .tv_nsec = 1000 * (i % 7) }, NULL);
    }
    skua_channel_close(mail->to);
    return NULL;
}

/* Nobody turns without being told to. */
TEST(messages_of_other_threads)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    struct mail mail = { .count = (int)test_scaled(20000) };
    pthread_t thread;
    CHECK_OK(skua_channel_create(&mail.to, sizeof(int), 2));
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, receives, &mail));
    CHECK_EQ(pthread_create(&thread, NULL, sends, &mail), 0);
    loop_until(rt, &mail.done, 50 * SKUA_US);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(mail.received, mail.count);
    skua_channel_destroy(mail.to);
    settle(rt);
    destroy(rt);
}

struct spawning {
    skua_runtime *rt;
    int left, done;
};

static int counts_down(void *arg)
{
    struct spawning *spawning = arg;
    if (--spawning->left == 0) /* on one thread */
        spawning->done = 1;
    return 0;
}

static void *spawns_many(void *arg)
{
    struct spawning *spawning = arg;
    for (int i = 0; i < 1000; i++)
        CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = spawning->rt }, counts_down, spawning));
    return NULL;
}

TEST(spawns_of_other_threads)
{
    struct spawning spawning = { .rt = create((skua_config){ .workers = 0 }), .left = 3000 };
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, spawns_many, &spawning), 0);
    loop_until(spawning.rt, &spawning.done, 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    settle(spawning.rt);
    destroy(spawning.rt);
}

struct talk {
    skua_stream *stream;
    int fd, done, rounds;
};

static int answers(void *arg)
{
    struct talk *talk = arg;
    char text[64];
    ssize_t n;
    while ((n = skua_read(talk->stream, text, sizeof text)) > 0)
        CHECK_EQ(skua_write_all(talk->stream, text, (size_t)n), n);
    skua_stream_close(talk->stream);
    talk->done = 1;
    return 0;
}

static void *talks(void *arg)
{
    struct talk *talk = arg;
    char text[64];
    for (int i = 0; i < talk->rounds; i++) {
        CHECK_EQ(write(talk->fd, "hello", 5), 5);
        CHECK_EQ(read(talk->fd, text, sizeof text), 5);
    }
    CHECK_EQ(close(talk->fd), 0);
    return NULL;
}

TEST(sockets)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    struct talk talk = { .rounds = (int)test_scaled(2000) };
    pthread_t thread;
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_OK(skua_stream_open(&talk.stream, rt, fds[0]));
    talk.fd = fds[1];
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, answers, &talk));
    CHECK_EQ(pthread_create(&thread, NULL, talks, &talk), 0);
    loop_until(rt, &talk.done, SKUA_MS);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    settle(rt);
    destroy(rt);
}

/* Files and whatever else blocks goes to threads; they come with the first call. */
static int64_t blocks(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    return 3;
}

static int asks_threads(void *done)
{
    CHECK_EQ(skua_blocking(blocks, NULL), 3);
    *(int *)done = 1;
    return 0;
}

TEST(blocking_calls)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    int done = 0;
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, asks_threads, &done));
    loop_until(rt, &done, SKUA_MS);
    settle(rt);
    destroy(rt);
}

/* ---- and the rest of Skua ---------------------------------------------------------------------------------------- */

SKUA_PARALLEL(long, fib, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, fib, n - 1);
    long right = SKUA_CALL(fib, n - 2);
    return SKUA_JOIN(fib, left) + right;
}

struct ticker {
    SKUA_FRAME;
    struct { int rounds; } in;
    skua_sleep_op nap;
    int round;
};
SKUA_ASYNC(ticker)
{
    SKUA_BEGIN(self);
    for (self->round = 0; self->round < self->in.rounds; self->round++)
        SKUA_AWAIT(skua_sleep_start(&self->nap, 100 * SKUA_US));
    SKUA_END(self->round);
}

static void runs_a_process(void)
{
    const char *const argv[] = { "sh", "-c", "exit 7", NULL };
    skua_process *process;
    skua_process_status status;
    CHECK_OK(skua_process_spawn(&process, &(skua_process_attr){ .argv = argv }));
    CHECK_OK(skua_process_wait(process, &status));
    CHECK_EQ(status.code, 7);
    skua_process_destroy(process);
}

static void reads_a_file(void)
{
    char text[64];
    int fd = skua_file_open("/proc/self/comm", O_RDONLY, 0);
    CHECK(fd >= 0);
    CHECK(skua_file_read(fd, text, sizeof text) > 0);
    CHECK_OK(skua_file_close(fd));
}

static void waits_for_a_signal(void)
{
    skua_signals *signals;
    CHECK_OK(skua_signals_open(&signals, NULL, (const int[]){ SIGUSR1 }, 1));
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(skua_signal_wait(signals), SIGUSR1);
    skua_signals_close(signals);
}

static void misses_a_deadline(void)
{
    SKUA_DEADLINE(2 * SKUA_MS);
    CHECK_EQ(skua_sleep(SKUA_NEVER), -ETIMEDOUT);
}

static int64_t selects(void)
{
    skua_sleep_op soon, late;
    skua_op *arms[] = { skua_sleep_prepare(&late, SKUA_S), skua_sleep_prepare(&soon, SKUA_MS) };
    return skua_select(arms, 2);
}

static int does_everything(void *done)
{
    skua_task *task;
    int64_t ticks;
    CHECK_EQ(SKUA_RUN(fib, 20), 6765);
    CHECK_OK(SKUA_SPAWN(&task, ticker, .rounds = 5));
    runs_a_process();
    reads_a_file();
    waits_for_a_signal();
    misses_a_deadline();
    CHECK_EQ(selects(), 1);
    CHECK_OK(skua_join(task, &ticks));
    CHECK_EQ(ticks, 5);
    *(int *)done = 1;
    return 0;
}

TEST(everything_works)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    int done = 0;
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, does_everything, &done));
    loop_until(rt, &done, SKUA_MS);
    settle(rt);
    destroy(rt);
}

/* After a period or two of unused memory there is nothing to be done any more. */
TEST(an_idle_one_wants_nothing)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    skua_stats before, after;
    static struct work work[1000];
    for (int i = 0; i < 1000; i++) {
        work[i] = (struct work){ .thread = gettid(), .rounds = 3 };
        CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, works, &work[i]));
    }
    int turns = 0;
    for (; turns < 20 && is_readable(rt, 1100); turns++)
        CHECK(skua_turn(rt, SKUA_NEVER) == 0);
    CHECK(turns <= 8);
    CHECK_EQ(work[999].runs, 3);
    skua_runtime_stats(rt, &before);
    CHECK(!is_readable(rt, 500));
    skua_runtime_stats(rt, &after);
    CHECK_EQ(memcmp(&before, &after, sizeof before), 0);
    destroy(rt);
}

/* ---- who waits on the embedding thread -------------------------------------------------------------------------- */

TEST(the_embedding_thread_may_wait_for_tasks)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    struct work work = { .thread = gettid(), .rounds = 10 };
    struct sleep sleep = { .ns = 5 * SKUA_MS }, late = { .ns = SKUA_NEVER };
    skua_task *task;
    int64_t result;
    CHECK_EQ(skua_block_on(rt, works, &work), 10);
    CHECK_EQ(skua_block_on(rt, sleeps, &sleep), 0);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, sleeps, &late));
    {
        SKUA_DEADLINE(5 * SKUA_MS);
        CHECK_EQ(skua_join(task, &result), -ETIMEDOUT);
    }
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(skua_block_on(rt, works, &(struct work){ .thread = gettid(), .rounds = 1 }), 1);
    settle(rt);
    destroy(rt);
}

static void *blocks_on(void *arg)
{
    struct spawning *spawning = arg;
    spawning->left = 1;
    CHECK_EQ(skua_block_on(spawning->rt, counts_down, spawning), 0);
    return NULL;
}

TEST(another_thread_waits_for_the_loop)
{
    struct spawning spawning = { .rt = create((skua_config){ .workers = 0 }) };
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, blocks_on, &spawning), 0);
    loop_until(spawning.rt, &spawning.done, SKUA_MS);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    settle(spawning.rt);
    destroy(spawning.rt);
}

/* Work for other processors. */
static int computes(void *arg)
{
    struct work *work = arg;
    CHECK(work->thread != gettid());
    CHECK_OK(skua_sleep(SKUA_MS));
    return 42;
}

struct two {
    skua_runtime *others;
    struct work work;
    int done;
};

static int delegates(void *arg)
{
    struct two *two = arg;
    CHECK(two->work.thread == gettid());
    CHECK_EQ(skua_block_on(two->others, computes, &two->work), 42); /* an await: the loop goes on */
    CHECK(two->work.thread == gettid());
    two->done = 1;
    return 0;
}

TEST(tasks_of_an_ordinary_runtime)
{
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    struct two two = { .work = { .thread = gettid() } };
    CHECK_OK(skua_runtime_create(&two.others, &(skua_config){ .workers = 2, .ignore_environment = true }));
    for (int i = 0; i < 100; i++) {
        two.done = 0;
        CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, delegates, &two));
        loop_until(rt, &two.done, SKUA_MS);
    }
    CHECK_OK(skua_runtime_destroy(two.others));
    settle(rt);
    destroy(rt);
}

/* ---- misuse ----------------------------------------------------------------------------------------------------- */

static struct {
    int count;
    char text[256];
} told;

static void note_misuse(void *context, const char *text)
{
    (void)context;
    told.count++;
    snprintf(told.text, sizeof told.text, "%s", text);
}

static void check_told(const char *what)
{
    CHECK_EQ(told.count, 1);
    CHECK(strstr(told.text, what) != NULL);
    told.count = 0;
}

static int turns_inside(void *rt)
{
    CHECK_EQ(skua_turn(rt, 0), -EPERM);
    check_told("inside a task or a turn");
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), skua_runtime_self() == rt ? -EDEADLK : -EPERM);
    return 0;
}

static void *turns_meanwhile(void *rt)
{
    CHECK_EQ(skua_turn(rt, 0), -EBUSY);
    check_told("while another thread turns the runtime");
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), -EBUSY);
    CHECK_EQ(skua_runtime_destroy(rt), -EBUSY);
    return NULL;
}

static int lets_another_turn(void *rt)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, turns_meanwhile, rt), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return 0;
}

TEST(misuse_is_reported)
{
    skua_runtime *rt = create((skua_config){ .on_misuse = note_misuse }), *ordinary;
    CHECK_EQ(skua_block_on(rt, turns_inside, rt), 0);
    CHECK_OK(skua_runtime_create(&ordinary, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_EQ(skua_block_on(ordinary, turns_inside, rt), 0);
    CHECK_EQ(skua_turn(ordinary, 0), -EINVAL);
    CHECK_EQ(skua_embed_fd(ordinary), -EINVAL);
    CHECK_OK(skua_runtime_destroy(ordinary));
    CHECK_EQ(skua_block_on(rt, lets_another_turn, rt), 0);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(skua_turn(rt, 0), -ESHUTDOWN);
    check_told("after the runtime's shutdown");
    CHECK(skua_embed_fd(rt) >= 0);
    CHECK_EQ(skua_block_on(rt, turns_inside, rt), -ESHUTDOWN);
    destroy(rt);
}

static void turn_after_shutdown(void *arg)
{
    skua_runtime *rt;
    (void)arg;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .embed = true }));
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    (void)skua_turn(rt, 0);
}

TEST(misuse_aborts_unless_told_otherwise)
{
    test_expect_abort(turn_after_shutdown, NULL, "take the descriptor out of the loop");
}

static int count_errors;
static void count_log(void *context, enum skua_log_level level, const char *text)
{
    (void)context;
    if (level == SKUA_LOG_ERROR) {
        count_errors++;
        CHECK(strstr(text, "skua_config.embed") != NULL);
    }
}

TEST(what_cannot_be_embedded)
{
    skua_runtime *rt;
    const skua_config wrong[] = { { .embed = true, .workers = 2, .log = count_log },
                                  { .embed = true, .bind = true, .log = count_log },
                                  { .embed = true, .simulate = true, .log = count_log },
                                  { .embed = true, .sim_machine = "core:2 pu:1", .log = count_log },
                                  { .embed = true, .spare_workers = 1, .log = count_log },
                                  { .embed = true, .stuck_ns = SKUA_MS, .log = count_log } };
    count_errors = 0;
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(skua_runtime_create(&rt, &wrong[i]), -EINVAL);
        CHECK(rt == NULL);
        CHECK_EQ(count_errors, i + 1);
    }
    test_allow_heap_growth(2048); /* glibc keeps the environment that setenv() has copied */
    setenv("SKUA_SIM_SEED", "1", 1);
    CHECK_EQ(skua_runtime_create(&rt, &(skua_config){ .embed = true, .log = count_log }), -EINVAL);
    unsetenv("SKUA_SIM_SEED");
    setenv("SKUA_WORKERS", "8", 1); /* what is for ordinary ones */
    setenv("SKUA_BIND", "1", 1);
    setenv("SKUA_SPARE_WORKERS", "4", 1);
    setenv("SKUA_STUCK_MS", "5", 1);
    rt = create((skua_config){ .embed = true });
    unsetenv("SKUA_WORKERS");
    unsetenv("SKUA_BIND");
    unsetenv("SKUA_SPARE_WORKERS");
    unsetenv("SKUA_STUCK_MS");
    skua_stats stats;
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.workers, 1);
    destroy(rt);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void silent(void *context, enum skua_log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static int ignores_cancellation(void *arg)
{
    (void)arg;
    SKUA_SHIELD();
    return skua_sleep(SKUA_NEVER);
}

TEST(shutdown_runs_what_is_left)
{
    skua_runtime *rt = create((skua_config){ .log = silent });
    skua_spawn_attr attr = { .runtime = rt };
    struct sleep soon = { .ns = 10 * SKUA_MS };
    CHECK_OK(skua_spawn_with(NULL, &attr, sleeps, &soon));
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, 0)); /* never turned */
    CHECK(soon.done);
    CHECK_EQ(skua_spawn_with(NULL, &attr, sleeps, &soon), -ESHUTDOWN);
    destroy(rt);

    skua_task *task;
    rt = create((skua_config){ .log = silent });
    attr.runtime = rt;
    CHECK_OK(skua_spawn_with(&task, &attr, spins, &(int){ 0 }));
    CHECK_EQ(skua_turn(rt, 0), 1);
    skua_detach(task);
    CHECK_OK(skua_spawn_with(NULL, &attr, ignores_cancellation, NULL));
    int64_t begin = (int64_t)skua_now();
    CHECK_EQ(skua_runtime_shutdown(rt, 5 * SKUA_MS, 5 * SKUA_MS), -ETIMEDOUT);
    CHECK((int64_t)skua_now() - begin >= (int64_t)(10 * SKUA_MS));
    destroy(rt);
}

static void *destroys(void *rt)
{
    CHECK_OK(skua_runtime_destroy(rt));
    return NULL;
}

static void *turns_a_while(void *rt)
{
    for (int i = 0; i < 10; i++)
        CHECK(skua_turn(rt, 0) >= 0);
    return NULL;
}

/* One thread at a time, and not the same. */
TEST(it_may_change_threads)
{
    pthread_t thread;
    struct talk talk;
    for (int i = 0; i < 20; i++) {
        skua_runtime *rt = create((skua_config){ .workers = 0 });
        int stop = 0, fds[2];
        CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, spins, &stop));
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        CHECK_OK(skua_stream_open(&talk.stream, rt, fds[0]));
        CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, answers, &talk));
        for (int k = 0; k < 3; k++) {
            CHECK_EQ(pthread_create(&thread, NULL, turns_a_while, rt), 0);
            CHECK_EQ(pthread_join(thread, NULL), 0);
            turns_a_while(rt);
        }
        CHECK_EQ(close(fds[1]), 0);
        stop = 1;
        CHECK_EQ(pthread_create(&thread, NULL, destroys, rt), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(memory.blocks, 0);
    }
}

TEST(many_come_and_go)
{
    for (int i = 0; i < 100; i++) {
        skua_runtime *rt = create((skua_config){ .workers = 0 });
        struct work work = { .thread = gettid(), .rounds = 2 };
        if (i % 3 != 0)
            CHECK_EQ(skua_block_on(rt, works, &work), 2);
        if (i % 3 == 2)
            settle(rt);
        destroy(rt);
    }
}

/* ---- fork, stacks ----------------------------------------------------------------------------------------------- */

static int child_of_a_turn(void *arg)
{
    skua_runtime *rt = arg;
    pid_t child = fork();
    int status = -1;
    if (child == 0)
        _exit(skua_self() == NULL && skua_turn(rt, 0) == -ENOTSUP && skua_sleep(SKUA_US) == 0 ? 0 : 1);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    return 0;
}

TEST(the_child_of_a_fork)
{
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer does not follow a fork of a process with threads");
    if (test_under_emulator())
        TEST_SKIP("the emulator does not wipe pages at fork");
    skua_runtime *rt = create((skua_config){ .workers = 0 });
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(skua_turn(rt, 0) == -ENOTSUP && skua_embed_fd(rt) == -ENOTSUP &&
                      skua_block_on(rt, child_of_a_turn, NULL) == -ENOTSUP && skua_runtime_destroy(rt) == 0
                  ? 0
                  : 1);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(skua_block_on(rt, child_of_a_turn, rt), 0);
    destroy(rt);
}

static int depth_max = 1 << 30;
static __attribute__((noinline)) int recurses(volatile char *above, int depth)
{
    volatile char here[512];
    here[0] = above != NULL ? above[0] : 0;
    return depth < depth_max ? here[0] + recurses(here, depth + 1) + here[1] : 0;
}

static int overflows(void *arg)
{
    (void)arg;
    (void)skua_self_set_name("deep");
    return recurses(NULL, 0);
}

static void turn_into_overflow(void *arg)
{
    (void)arg;
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .embed = true }));
    (void)skua_block_on(rt, overflows, NULL);
}

TEST(an_overflow_is_reported)
{
    if (test_under_asan() || test_under_tsan())
        TEST_SKIP("sanitizers report it themselves");
    test_expect_abort(turn_into_overflow, NULL, "fiber \"deep\" overflowed its stack");
}
