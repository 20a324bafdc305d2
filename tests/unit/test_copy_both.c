/* What skua_copy_both() passes on: an end as an end, and a reset as an error and never as an end, whichever of the two
 * ways hears of it. A client C and a server S of plain sockets, and between them a proxy's a and b: C-a, b-S. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "skua/copy.h"
#include "support/with_runtime.h"

enum { BUFFER_BYTES = 4096 };

static void small_buffers(int fd)
{
    int size = BUFFER_BYTES;
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0);
    small_buffers(listener);
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, size), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fds[0] >= 0);
    small_buffers(fds[0]);
    CHECK_EQ(connect(fds[0], (struct sockaddr *)&address, size), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(fds[1] >= 0);
    CHECK_EQ(close(listener), 0);
}

static void reset(int fd)
{
    const struct linger now = { .l_onoff = 1 };
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    CHECK_EQ(close(fd), 0);
}

static int state_of(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_state;
}

struct proxy {
    int a, b;
    int64_t result;
    int state_of_b; /* when the copying was over */
};

static int proxies(void *arg)
{
    struct proxy *p = arg;
    skua_stream *a, *b;
    CHECK_OK(skua_stream_open(&a, NULL, p->a));
    CHECK_OK(skua_stream_open(&b, NULL, p->b));
    p->result = skua_copy_both(a, b, NULL, NULL);
    p->state_of_b = state_of(p->b);
    skua_stream_close(a);
    skua_stream_close(b);
    return 0;
}

struct scene {
    skua_runtime *rt;
    skua_task *task;
    struct proxy proxy;
    int client, server;
};

static void begin(struct scene *scene, skua_runtime *rt)
{
    int left[2], right[2];
    tcp_pair(left);
    tcp_pair(right);
    *scene = (struct scene){ .rt = rt, .client = left[0], .server = right[0],
                             .proxy = { .a = left[1], .b = right[1] } };
    CHECK_OK(skua_spawn_with(&scene->task, &(skua_spawn_attr){ .runtime = rt }, proxies, &scene->proxy));
}

/* It was a reset, and the server has not been told of an end. */
static void check_reset(struct scene *scene)
{
    CHECK_OK(skua_join(scene->task, NULL));
    CHECK(scene->proxy.result == -ECONNRESET || scene->proxy.result == -EPIPE);
    CHECK_EQ(scene->proxy.state_of_b, TCP_ESTABLISHED);
    CHECK_EQ(close(scene->server), 0);
}

static void wait_for_sleep(skua_runtime *rt)
{
    skua_worker_stats worker;
    for (uint32_t i = 0; skua_runtime_worker_stats(rt, i, &worker) == 0;)
        i = worker.state == SKUA_WORKER_ASLEEP ? i + 1 : 0;
}

/* The server sends until nobody has room any more. */
static void fill(struct scene *scene)
{
    static const char block[BUFFER_BYTES];
    for (int full = 0; full < 3;) {
        ssize_t n = send(scene->server, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(n > 0 || errno == EAGAIN);
        full = n > 0 ? 0 : full + 1;
        if (n < 0)
            wait_for_sleep(scene->rt);
    }
}

static void on_workers(uint32_t workers, void (*body)(skua_runtime *rt))
{
    skua_runtime *rt;
    struct counted_memory memory = { 0, 0 };
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = workers, .ignore_environment = true,
                                                      .stuck_ns = SKUA_NEVER, .alloc = counted_alloc,
                                                      .free = counted_free, .memory_context = &memory }));
    for (uint64_t i = 0; i < test_scaled(20); i++)
        body(rt);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
}

static void reset_while_idle(skua_runtime *rt)
{
    struct scene scene;
    char byte = 'x';
    begin(&scene, rt);
    CHECK_EQ(send(scene.client, &byte, 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(recv(scene.server, &byte, 1, 0), 1);
    reset(scene.client);
    check_reset(&scene);
}
TEST(a_reset_that_is_read)
{
    on_workers(1, reset_while_idle);
    on_workers(4, reset_while_idle);
}

/* Whoever writes to the client waits for room, and may be the first to hear of it; the kernel tells one only. */
static void reset_while_full(skua_runtime *rt)
{
    struct scene scene;
    begin(&scene, rt);
    fill(&scene);
    reset(scene.client);
    check_reset(&scene);
}
TEST(a_reset_while_the_other_way_is_full)
{
    on_workers(1, reset_while_full);
    on_workers(4, reset_while_full);
}

static void reset_in_the_flow(skua_runtime *rt)
{
    struct scene scene;
    static char block[BUFFER_BYTES];
    begin(&scene, rt);
    for (int i = 0; i < 20; i++) {
        (void)send(scene.server, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)recv(scene.client, block, sizeof block, MSG_DONTWAIT);
    }
    reset(scene.client);
    for (int i = 0; i < 20; i++)
        (void)send(scene.server, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
    check_reset(&scene);
}
TEST(a_reset_in_the_flow)
{
    on_workers(1, reset_in_the_flow);
    on_workers(4, reset_in_the_flow);
}

/* The end of the one is passed on, and what the other says then comes, too. */
static void ends_one_by_one(skua_runtime *rt)
{
    struct scene scene;
    char byte = 'x';
    begin(&scene, rt);
    CHECK_EQ(shutdown(scene.client, SHUT_WR), 0);
    CHECK_EQ(recv(scene.server, &byte, 1, 0), 0);
    CHECK_EQ(send(scene.server, &byte, 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(recv(scene.client, &byte, 1, 0), 1);
    CHECK_EQ(close(scene.server), 0);
    CHECK_EQ(recv(scene.client, &byte, 1, 0), 0);
    CHECK_OK(skua_join(scene.task, NULL));
    CHECK_EQ(scene.proxy.result, 0);
    CHECK_EQ(close(scene.client), 0);
}

static void ends_at_once(skua_runtime *rt)
{
    struct scene scene;
    begin(&scene, rt);
    CHECK_EQ(shutdown(scene.client, SHUT_WR), 0);
    CHECK_EQ(shutdown(scene.server, SHUT_WR), 0);
    CHECK_OK(skua_join(scene.task, NULL));
    CHECK_EQ(scene.proxy.result, 0);
    CHECK_EQ(close(scene.client), 0);
    CHECK_EQ(close(scene.server), 0);
}
TEST(ends_are_no_resets)
{
    on_workers(1, ends_one_by_one);
    on_workers(4, ends_one_by_one);
    on_workers(1, ends_at_once);
    on_workers(4, ends_at_once);
}
