/* Names: what is a number is understood at once, what is a name is asked for, and who is cancelled waits no longer.
 * That a resolver takes its time, and fails, is in tests/fault/fault_resolve.c. */
#include "skua/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support/with_runtime.h"

/* The resolver keeps what it has read of its configuration, and glibc's an arena for each thread that was. */
enum { RESOLVER_KEEPS = 1 << 20 };

static void expect(const char *text, const char *first)
{
    skua_address *addresses;
    size_t count;
    char found[SKUA_ADDRESS_TEXT_MAX];
    CHECK_OK(skua_resolve(&addresses, &count, text));
    CHECK_EQ(count, 1);
    CHECK(skua_address_format(addresses, found, sizeof found) > 0);
    CHECK_STR(found, first);
    skua_addresses_free(addresses);
}

static int numbers(void *arg)
{
    (void)arg;
    static const char *const wrong[] = {
        "", "nowhere", "tcp://", "tcp://a", "tcp://:80", "tcp://a:", "tcp://a:x", "tcp://a:65536", "tcp://300.1.1.1:1",
        "tcp://1.2.3:4", "tcp://a b:1", "tcp://a/b:1", "tcp://::1:80", "tcp://[a]:1", "tcp://[::1:1", "tcp://.:1",
        "tcp://example.1:1", "tcp://example.1.:1", "http://a:1", "unix:",
    };
    skua_address *addresses = NULL;
    size_t count = 77;
    expect("tcp://127.0.0.1:7", "tcp://127.0.0.1:7");
    expect("udp://[::1]:7", "tcp://[::1]:7");
    expect("unix:@name", "unix:@name");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (skua_resolve(&addresses, &count, wrong[i]) != -EINVAL)
            test_fail(__FILE__, __LINE__, "%s is an address", wrong[i]);
    char longer[400] = "tcp://";
    memset(longer + 6, 'a', 300);
    strcat(longer, ":1");
    CHECK_EQ(skua_resolve(&addresses, &count, longer), -ENAMETOOLONG);
    CHECK(addresses == NULL && count == 77);
    return 0;
}
TEST(numbers_are_understood_at_once)
{
    run_everywhere(numbers, NULL);
    CHECK_EQ(numbers(NULL), 0);
}

static int no_names(void *arg)
{
    (void)arg;
    skua_address *addresses;
    size_t count;
    CHECK_EQ(skua_resolve(&addresses, &count, "tcp://localhost:1"), -ENOTSUP);
    return 0;
}
TEST(no_names_in_a_simulation) { CHECK_EQ(run_seeded(1, 2, no_names, NULL), 0); }

static int asks(void *arg)
{
    (void)arg;
    skua_address *addresses;
    size_t count;
    int rc = skua_resolve(&addresses, &count, "tcp://localhost:4711");
    if (rc < 0)
        return rc;
    CHECK(count >= 1);
    for (size_t i = 0; i < count; i++) {
        char text[SKUA_ADDRESS_TEXT_MAX];
        CHECK(skua_address_format(&addresses[i], text, sizeof text) > 0);
        CHECK(strcmp(text, "tcp://127.0.0.1:4711") == 0 || strcmp(text, "tcp://[::1]:4711") == 0);
    }
    skua_addresses_free(addresses);
    return 0;
}
struct asks_too {
    SKUA_FRAME;
    struct { const char *text; } in;
    skua_resolving names;
};
SKUA_ASYNC(asks_too)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_resolve_start(&self->names, self->in.text));
    if (SKUA_RESULT(&self->names) == 0) {
        CHECK(self->names.count >= 1);
        skua_addresses_free(self->names.addresses);
    }
    SKUA_END(SKUA_RESULT(&self->names));
}

static int many_ask(void *arg)
{
    (void)arg;
    enum { TASKS = 20 };
    for (int round = 0; round < 10; round++) {
        skua_task *tasks[TASKS];
        int64_t result;
        for (int i = 0; i < TASKS; i++)
            CHECK_OK(i % 2 ? skua_spawn(&tasks[i], asks, NULL)
                           : SKUA_SPAWN(&tasks[i], asks_too, .text = i % 4 ? "tcp://localhost:1" : "tcp://[::1]:1"));
        for (int i = 0; i < round % 4; i++)
            skua_yield();
        for (int i = 0; i < TASKS; i++)
            if (round % 2 && i % 3)
                skua_cancel(tasks[i]);
        for (int i = 0; i < TASKS; i++) {
            CHECK_OK(skua_join(tasks[i], &result));
            CHECK(result == 0 || (result == -ECANCELED && round % 2 && i % 3));
        }
    }
    return 0;
}

static bool has_localhost(void) { return asks(NULL) == 0; }

TEST(names_of_this_machine)
{
    test_allow_heap_growth(RESOLVER_KEEPS);
    if (!has_localhost())
        TEST_SKIP("nobody knows localhost here");
    for (uint32_t workers = 1; workers <= 8; workers *= 2)
        CHECK_EQ(run_on(workers, many_ask, NULL), 0);
}

/* By name from both sides. */
static int meets(void *arg)
{
    (void)arg;
    skua_listener *listener;
    skua_stream *here, *there;
    skua_udp *socket;
    skua_address address;
    char text[SKUA_ADDRESS_TEXT_MAX], name[SKUA_ADDRESS_TEXT_MAX], byte;
    CHECK_OK(skua_listen(&listener, "tcp://localhost:0", NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK(skua_address_format(&address, text, sizeof text) > 0);
    snprintf(name, sizeof name, "tcp://localhost%s", strrchr(text, ':'));
    CHECK_OK(skua_connect(&here, name, NULL));
    CHECK_OK(skua_accept(listener, &there, NULL));
    CHECK_EQ(skua_write(here, "x", 1), 1);
    CHECK_EQ(skua_read(there, &byte, 1), 1);
    skua_stream_close(here);
    skua_stream_close(there);
    skua_listener_close(listener);
    CHECK_EQ(skua_connect(&here, name, NULL), -ECONNREFUSED);
    CHECK_OK(skua_udp_open(&socket, "udp://localhost:0", NULL));
    skua_udp_close(socket);
    return 0;
}
TEST(listening_and_connecting_by_name)
{
    test_allow_heap_growth(RESOLVER_KEEPS);
    if (!has_localhost())
        TEST_SKIP("nobody knows localhost here");
    CHECK_EQ(run_on(1, meets, NULL), 0);
    CHECK_EQ(run_on(4, meets, NULL), 0);
}
