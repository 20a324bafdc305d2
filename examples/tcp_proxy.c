/* A TCP proxy: what comes in at one address goes on to another, and back.
 *
 *     skua-tcp_proxy tcp://127.0.0.1:8080 tcp://127.0.0.1:80 [connect timeout in ms]
 *
 * A fiber for each connection connects to the target, within a time, and hands the rest to skua_copy_both(): the kernel
 * moves the bytes (splice), who reads slowly is waited for, and the end of one direction is passed on while the other
 * goes on. A failure is passed on as one, too: who is told of an end by mistake may take half a file for a whole one.
 * (Not always: the kernel tells of a reset once. If that is when writing, who reads from there gets an end, which is
 * passed on before the reset is.)
 *
 * At SIGINT or SIGTERM nobody new is accepted; who is there may finish, for ten seconds or until a second signal.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <skua.h>

enum { CONNECTIONS_MAX = 10000 }; /* more wait in the kernel */
#define FINISH_NS (10 * SKUA_S)

struct proxy {
    const char *listen, *target;
    uint64_t connect_ns;
    skua_listener *listener;
    skua_group sessions;
    atomic_ullong served, there, back;
};

struct session {
    struct proxy *proxy;
    skua_stream *client;
};

/* ---- a connection ----------------------------------------------------------------------------------------------- */

/* Who is gone without a word, because of a cable, is found out. */
static void watch_over(skua_stream *stream)
{
    (void)setsockopt(skua_stream_fd(stream), SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
}

/* By a reset, not by an end. */
static void fail(skua_stream *stream)
{
    const struct linger now = { .l_onoff = 1 };
    (void)setsockopt(skua_stream_fd(stream), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static int connect_in_time(const struct proxy *proxy, skua_stream **target)
{
    SKUA_DEADLINE(proxy->connect_ns);
    return skua_connect(target, proxy->target, NULL);
}

static void count(atomic_ullong *counter, uint64_t addend)
{
    atomic_fetch_add_explicit(counter, addend, memory_order_relaxed);
}

static void pass_on(struct proxy *proxy, skua_stream *client, skua_stream *target)
{
    uint64_t there, back;
    watch_over(client);
    watch_over(target);
    if (skua_copy_both(client, target, &there, &back) < 0) {
        fail(client);
        fail(target);
    }
    count(&proxy->there, there);
    count(&proxy->back, back);
}

static int serve(void *arg)
{
    struct session session = *(struct session *)arg;
    skua_stream *target;
    free(arg);
    int rc = connect_in_time(session.proxy, &target);
    if (rc == 0) {
        pass_on(session.proxy, session.client, target);
        skua_stream_close(target);
    } else {
        fail(session.client);
        if (rc != -ECANCELED)
            fprintf(stderr, "skua-tcp_proxy: %s: %s\n", session.proxy->target, skua_strerror(rc));
    }
    skua_stream_close(session.client);
    count(&session.proxy->served, 1);
    return 0; /* that one has failed is nothing to the others */
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* Waits for a place among the sessions while there are too many. */
static int begin_session(struct proxy *proxy, skua_stream *client)
{
    struct session *session = malloc(sizeof *session);
    if (session == NULL)
        return -ENOMEM;
    *session = (struct session){ proxy, client };
    int rc = skua_group_go(&proxy->sessions, serve, session);
    if (rc < 0)
        free(session);
    return rc;
}

static int accept_all(void *arg)
{
    struct proxy *proxy = arg;
    skua_stream *client;
    int rc;
    while ((rc = skua_accept(proxy->listener, &client, NULL)) == 0)
        if (begin_session(proxy, client) < 0)
            skua_stream_close(client);
    return rc;
}

/* Until none is left, the time is over, or a signal comes. */
static void let_finish(struct proxy *proxy, skua_signals *signals)
{
    skua_group_op idle;
    skua_sleep_op late;
    skua_op signal;
    skua_op *arms[] = { skua_group_idle_prepare(&idle, &proxy->sessions), skua_sleep_prepare(&late, FINISH_NS),
                        skua_signal_pending_prepare(&signal, signals) };
    while (skua_select(arms, 3) == 2 && skua_signal_try_wait(signals) == -EAGAIN) /* ready, but in vain */
        ;
    skua_group_cancel(&proxy->sessions);
    (void)skua_group_wait(&proxy->sessions);
}

static int serve_until_signal(struct proxy *proxy, skua_signals *signals)
{
    skua_task *acceptor;
    int64_t result = 0;
    int rc = skua_spawn(&acceptor, accept_all, proxy);
    if (rc < 0)
        return rc;
    int number = skua_signal_wait(signals);
    skua_cancel(acceptor);
    rc = skua_join(acceptor, &result);
    let_finish(proxy, signals);
    return number < 0 ? number : rc < 0 ? rc : result != -ECANCELED ? (int)result : 0;
}

static int run(void *arg)
{
    struct proxy *proxy = arg;
    skua_address address;
    skua_signals *signals;
    char text[SKUA_ADDRESS_TEXT_MAX];
    int rc = skua_signals_open(&signals, NULL, (const int[]){ SIGINT, SIGTERM }, 2);
    if (rc < 0)
        return rc;
    rc = skua_listen(&proxy->listener, proxy->listen, NULL);
    if (rc == 0) {
        (void)skua_listener_address(proxy->listener, &address);
        (void)skua_address_format(&address, text, sizeof text);
        printf("listening at %s\n", text);
        fflush(stdout);
        skua_group_init_with(&proxy->sessions, &(skua_group_attr){ .limit = CONNECTIONS_MAX });
        rc = serve_until_signal(proxy, signals);
        skua_listener_close(proxy->listener);
        printf("%llu connections, %llu bytes there, %llu back\n", atomic_load(&proxy->served),
               atomic_load(&proxy->there), atomic_load(&proxy->back));
    }
    skua_signals_close(signals);
    return rc;
}

int main(int argc, char **argv)
{
    static struct proxy proxy;
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: skua-tcp_proxy LISTEN TARGET [CONNECT_TIMEOUT_MS]\n");
        return 2;
    }
    proxy.listen = argv[1];
    proxy.target = argv[2];
    proxy.connect_ns = (argc > 3 ? strtoull(argv[3], NULL, 10) : 5000) * SKUA_MS;
    return skua_main(run, &proxy);
}
