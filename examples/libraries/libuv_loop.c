/* A service of Skua's in a loop of somebody else's: libuv, whose timers and signals go on beside it.
 *
 *     skua-libuv_loop [tcp://127.0.0.1:0]
 *     $ nc 127.0.0.1 PORT
 *     100                        how many primes are there up to …?
 *     25
 *
 * The service is an embedded runtime: a fiber for each connection, all on the loop's thread, in turns of two
 * milliseconds at most that are taken when the runtime's descriptor is readable. So fibers and libuv's callbacks share
 * `app` without locks. Counting primes would hold the loop up, and is done by an ordinary runtime with a worker for
 * each processor: the fiber waits for it as for anything else. A second one, which nobody waits for, tells the loop by
 * skua_on_done() when it is through.
 *
 * SIGTERM comes as a callback of libuv's, too: it cancels the service, and when that has ended, which is told by
 * skua_on_done() again, the loop has nothing left to do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <skua.h>

enum { LINE_MAX_BYTES = 64, PRIMES_MAX = 100000000 };

static struct {
    /* all on the loop's thread */
    skua_runtime *embedded, *workers;
    const char *address;
    skua_waker service;
    uint64_t lines, ticks;
    uv_poll_t readable;
    uv_timer_t tick;
    uv_signal_t terminate;
} app;

static void check(int rc, const char *what, const char *(*text)(int))
{
    if (rc < 0) {
        fprintf(stderr, "skua-libuv_loop: %s: %s\n", what, text(rc));
        exit(1);
    }
}

/* ---- for the workers --------------------------------------------------------------------------------------------- */

static bool is_prime(uint32_t n)
{
    if (n < 4)
        return n > 1;
    if (n % 2 == 0)
        return false;
    for (uint32_t d = 3; (uint64_t)d * d <= n; d += 2)
        if (n % d == 0)
            return false;
    return true;
}

struct count {
    uint32_t up_to;
};

static int count_primes(void *arg)
{
    const struct count *count = arg;
    int primes = 0;
    for (uint32_t n = 2; n <= count->up_to; n++) {
        primes += is_prime(n);
        if (n % 4096 == 0 && skua_interrupted() < 0)
            return -ECANCELED; /* nobody wants it any more */
    }
    return primes;
}

/* ---- in the loop: a fiber for each connection -------------------------------------------------------------------- */

static int answer(skua_stream *peer, const char *line)
{
    char text[32];
    char *end;
    unsigned long up_to = strtoul(line, &end, 10);
    app.lines++;
    if (end == line || *end != '\n' || up_to > PRIMES_MAX)
        return (int)skua_write_all(peer, "?\n", 2);
    struct count count = { .up_to = (uint32_t)up_to };
    int64_t primes = skua_block_on(app.workers, count_primes, &count); /* suspends the fiber, not the loop */
    if (primes < 0)
        return (int)primes;
    int length = snprintf(text, sizeof text, "%lld\n", (long long)primes);
    return (int)skua_write_all(peer, text, (size_t)length);
}

static int converse(void *arg)
{
    skua_stream *peer = arg;
    skua_reader reader;
    char buffer[LINE_MAX_BYTES], *line;
    skua_reader_init(&reader, peer, buffer, sizeof buffer);
    ssize_t n;
    while ((n = skua_read_until(&reader, '\n', &line)) > 0) {
        char copy[LINE_MAX_BYTES + 1];
        memcpy(copy, line, (size_t)n);
        copy[n] = '\0';
        if (answer(peer, copy) < 0)
            break;
    }
    skua_stream_close(peer);
    return 0; /* that a client goes is no failure of the others' */
}

static int serve(void *arg)
{
    skua_listener *listener;
    skua_address address;
    skua_group connections;
    char text[SKUA_ADDRESS_TEXT_MAX];
    (void)arg;
    int rc = skua_listen(&listener, app.address, NULL);
    if (rc < 0)
        return rc;
    rc = skua_listener_address(listener, &address);
    if (rc == 0) {
        (void)skua_address_format(&address, text, sizeof text);
        printf("listening at %s\n", text);
        fflush(stdout);
    }
    skua_group_init(&connections);
    while (rc >= 0) {
        skua_stream *peer;
        rc = skua_accept(listener, &peer, NULL);
        if (rc >= 0 && (rc = skua_group_go(&connections, converse, peer)) < 0)
            skua_stream_close(peer);
    }
    skua_listener_close(listener);
    skua_group_cancel(&connections);
    (void)skua_group_wait(&connections);
    return rc == -ECANCELED ? 0 : rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* All that there is to do for Skua. If there is more the descriptor is still readable, and the others have their turn
 * first. */
static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)events;
    check(status, "uv_poll", uv_strerror);
    check(skua_turn(app.embedded, 2 * SKUA_MS), "skua_turn", skua_strerror);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    app.ticks++;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_signal_stop(handle);
    skua_waker_cancel(app.service);
}

/* In a turn, so on this thread: nothing is left to wait for, and the loop ends. */
static void on_service_ended(void *context, int64_t result)
{
    (void)context;
    check((int)result, "the service", skua_strerror);
    uv_close((uv_handle_t *)&app.readable, NULL);
    uv_close((uv_handle_t *)&app.tick, NULL);
    uv_close((uv_handle_t *)&app.terminate, NULL);
}

static void on_counted(void *context, int64_t primes)
{
    (void)context;
    printf("%lld primes up to a million, after %llu ticks\n", (long long)primes, (unsigned long long)app.ticks);
    fflush(stdout);
}

static void start_tasks(void)
{
    static struct count million = { .up_to = 1000000 };
    skua_task *task;
    check(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = app.embedded, .name = "service" }, serve, NULL),
          "the service", skua_strerror);
    app.service = skua_task_waker(task);
    check(skua_on_done(task, NULL, on_service_ended, NULL), "the service", skua_strerror);
    /* Of the other runtime, and told here. */
    check(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = app.workers }, count_primes, &million), "a million",
          skua_strerror);
    check(skua_on_done(task, app.embedded, on_counted, NULL), "a million", skua_strerror);
}

static void start_loop(uv_loop_t *loop)
{
    check(uv_poll_init(loop, &app.readable, skua_embed_fd(app.embedded)), "uv_poll_init", uv_strerror);
    check(uv_poll_start(&app.readable, UV_READABLE, on_readable), "uv_poll_start", uv_strerror);
    check(uv_timer_init(loop, &app.tick), "uv_timer_init", uv_strerror);
    check(uv_timer_start(&app.tick, on_tick, 5, 5), "uv_timer_start", uv_strerror);
    check(uv_signal_init(loop, &app.terminate), "uv_signal_init", uv_strerror);
    check(uv_signal_start(&app.terminate, on_signal, SIGTERM), "uv_signal_start", uv_strerror);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    app.address = argc > 1 ? argv[1] : "tcp://127.0.0.1:0";
    check(skua_runtime_create(&app.embedded, &(skua_config){ .embed = true }), "the runtime", skua_strerror);
    check(skua_runtime_create(&app.workers, NULL), "the workers", skua_strerror);
    check(uv_loop_init(&loop), "uv_loop_init", uv_strerror);
    start_tasks();
    start_loop(&loop);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    check(uv_loop_close(&loop), "uv_loop_close", uv_strerror);
    check(skua_runtime_destroy(app.workers), "the workers", skua_strerror);
    check(skua_runtime_destroy(app.embedded), "the runtime", skua_strerror);
    printf("%llu lines answered, %llu ticks\n", (unsigned long long)app.lines, (unsigned long long)app.ticks);
    return 0;
}
