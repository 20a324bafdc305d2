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
    CHECK_EQ(skua_udp_send_many(to, in, 0), -EINVAL);
    skua_udp *other;
    CHECK_OK(skua_address_parse(&address, "unix:@datagrams"));
    CHECK_EQ(skua_udp_open_at(&other, &address, NULL), -EINVAL);
    skua_udp_close(from);
    skua_udp_close(to);
    return 0;
}
TEST(datagrams_in_batches) { run_for_real(batches); }

/* ---- in futures ------------------------------------------------------------------------------------------------- */

struct answers_too {
    SKUA_FRAME;
    struct { skua_udp *socket; } in;
    skua_udp_io io;
    skua_address from;
    char buffer[100];
};
SKUA_ASYNC(answers_too)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_udp_receive_start(&self->io, self->in.socket, self->buffer, sizeof self->buffer, &self->from));
        if (SKUA_RESULT(&self->io) < 0)
            break;
        SKUA_AWAIT(skua_udp_send_start(&self->io, self->in.socket, self->buffer, (size_t)SKUA_RESULT(&self->io),
                                       &self->from));
        CHECK_OK(SKUA_RESULT(&self->io));
    }
    SKUA_END(SKUA_RESULT(&self->io));
}

struct exchanges {
    SKUA_FRAME;
    struct { skua_udp *from, *to; skua_datagram *out, *got; } in;
    skua_udp_io io;
    int done;
};
SKUA_ASYNC(exchanges)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_udp_send_many_start(&self->io, self->in.from, self->in.out, MANY));
    CHECK_EQ(SKUA_RESULT(&self->io), MANY);
    for (self->done = 0; self->done < MANY; self->done += (int)SKUA_RESULT(&self->io)) {
        SKUA_AWAIT(skua_udp_receive_many_start(&self->io, self->in.to, self->in.got + self->done, MANY - self->done));
        CHECK(SKUA_RESULT(&self->io) > 0);
    }
    SKUA_AWAIT(skua_udp_receive_many_start(&self->io, self->in.to, self->in.got, 0));
    CHECK_EQ(SKUA_RESULT(&self->io), -EINVAL);
    SKUA_END(0);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_udp *server, *client;
    skua_address address, from;
    skua_task *task;
    int64_t result;
    char buffer[100];
    static skua_datagram out[MANY], in[MANY]; /* one test at a time */
    static char sent[MANY][20], got[MANY][20];
    CHECK_OK(skua_udp_open(&server, "udp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_open(&client, "udp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_address(server, &address));
    for (int i = 0; i < MANY; i++) {
        memset(sent[i], i, sizeof sent[i]);
        out[i] = (skua_datagram){ .data = sent[i], .size = (size_t)(i % 20), .address = address };
        in[i] = (skua_datagram){ .data = got[i], .size = sizeof got[i] };
    }
    CHECK_OK(SKUA_SPAWN(&task, exchanges, .from = client, .to = server, .out = out, .got = in));
    CHECK_OK(skua_join(task, NULL));
    for (int i = 0; i < MANY; i++)
        CHECK(in[i].length == (size_t)(i % 20) && memcmp(got[i], sent[i], in[i].length) == 0);
    CHECK_OK(SKUA_SPAWN(&task, answers_too, .socket = server));
    for (int i = 0; i < 50; i++) {
        memset(buffer, i, sizeof buffer);
        CHECK_EQ(skua_udp_send(client, buffer, (size_t)i, &address), i);
        CHECK_EQ(skua_udp_receive(client, buffer, sizeof buffer, &from), i);
        CHECK(from.length == address.length && memcmp(&from.storage, &address.storage, from.length) == 0);
    }
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(SKUA_SPAWN(&task, answers_too, .socket = server));
    CHECK_OK(skua_sleep(SKUA_MS));
    skua_udp_close(server);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_udp_close(client);
    return 0;
}
TEST(datagrams_in_futures) { run_for_real(in_futures); }

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
TEST(multicast_groups)
{
    if (test_under_emulator())
        TEST_SKIP("the emulator does not hand on which interface");
    run_for_real(multicast);
}
