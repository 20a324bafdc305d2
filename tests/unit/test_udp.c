/* Datagrams: one by one, in batches, multicast on the loopback interface. */
#include "skua/udp.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "support/with_runtime.h"

static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static int answers(void *arg)
{
    skua_udp *socket = arg;
    char buffer[100];
    skua_address from;
    ssize_t n;
    while ((n = skua_udp_receive(socket, buffer, sizeof buffer, &from)) >= 0)
        CHECK_EQ(skua_udp_send(socket, buffer, (size_t)n, &from), n);
    return (int)n;
}

static int one_by_one(void *arg)
{
    (void)arg;
    skua_udp *server, *client;
    skua_address address, from;
    skua_task *task;
    int64_t result;
    char buffer[100], text[SKUA_ADDRESS_TEXT_MAX];
    CHECK_OK(skua_udp_open(&server, "udp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_open(&client, "udp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_address(server, &address));
    CHECK(skua_address_format(&address, text, sizeof text) > 0);
    CHECK_OK(skua_spawn(&task, answers, server));
    for (int i = 0; i < 50; i++) {
        memset(buffer, i, sizeof buffer);
        CHECK_EQ(skua_udp_send(client, buffer, (size_t)i, &address), i);
        CHECK_EQ(skua_udp_receive(client, buffer, sizeof buffer, &from), i);
        CHECK(from.length == address.length && memcmp(&from.storage, &address.storage, from.length) == 0);
    }
    CHECK_OK(skua_udp_connect(client, &address));
    CHECK_EQ(skua_udp_send(client, buffer, 100, NULL), 100);
    CHECK_EQ(skua_udp_receive(client, buffer, 10, NULL), 100); /* cut */
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_udp_receive(client, buffer, 10, NULL), -ETIMEDOUT);
    }
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_udp_close(server);
    CHECK_EQ(skua_udp_send(client, buffer, 1, NULL), 1);
    CHECK_EQ(skua_udp_receive(client, buffer, 10, NULL), -ECONNREFUSED);
    skua_udp_close(client);
    return 0;
}
TEST(datagrams_one_by_one) { run_for_real(one_by_one); }

enum { MANY = 150 };
static int batches(void *arg)
{
    (void)arg;
    skua_udp *from, *to;
    skua_address address;
    static skua_datagram out[MANY], in[MANY]; /* one test at a time */
    static char sent[MANY][20], got[MANY][20];
    CHECK_OK(skua_udp_open(&to, "udp://[::1]:0", NULL));
    CHECK_OK(skua_udp_open(&from, "udp://[::1]:0", NULL));
    CHECK_OK(skua_udp_address(to, &address));
    for (int i = 0; i < MANY; i++) {
        memset(sent[i], i, sizeof sent[i]);
        out[i] = (skua_datagram){ .data = sent[i], .size = (size_t)(i % 20), .address = address };
        in[i] = (skua_datagram){ .data = got[i], .size = sizeof got[i] };
    }
    CHECK_EQ(skua_udp_send_many(from, out, MANY), MANY);
    for (int done = 0; done < MANY;) {
        int n = skua_udp_receive_many(to, in + done, MANY - done);
        CHECK(n > 0);
        done += n;
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(in[i].length, i % 20);
        CHECK(memcmp(got[i], sent[i], in[i].length) == 0);
    }
    CHECK_EQ(skua_udp_receive_many(to, in, 0), -EINVAL);
    skua_udp_close(from);
    skua_udp_close(to);
    return 0;
}
TEST(datagrams_in_batches) { run_for_real(batches); }

static int multicast(void *arg)
{
    (void)arg;
    skua_udp *socket;
    skua_address group;
    unsigned loopback = if_nametoindex("lo");
    CHECK_OK(skua_address_parse(&group, "udp://239.1.2.3:0"));
    CHECK_OK(skua_udp_open(&socket, "udp://0.0.0.0:0", NULL));
    CHECK_OK(skua_udp_join(socket, &group, loopback));
    CHECK_EQ(skua_udp_join(socket, &group, loopback), -EADDRINUSE);
    CHECK_OK(skua_udp_leave(socket, &group, loopback));
    CHECK_EQ(skua_udp_leave(socket, &group, loopback), -EADDRNOTAVAIL);
    skua_udp_close(socket);
    CHECK_EQ(skua_udp_open(&socket, "unix:@x", NULL), -EINVAL);
    return 0;
}
TEST(multicast_groups) { run_for_real(multicast); }
