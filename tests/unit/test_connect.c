/* Connecting to one of several addresses: in which order, what a failure and what a silence lead to, and that nothing
 * is left of those that lost. Closed ports and full backlogs on this machine stand for the world's. */
#define _GNU_SOURCE
#include "skua/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "io/socket.h"
#include "support/addresses.h"
#include "support/with_runtime.h"

/* ---- order ------------------------------------------------------------------------------------------------------ */

static void check_order(const char *families, const char *expected)
{
    skua_address addresses[10];
    uint32_t order[10];
    char found[11] = { 0 };
    size_t count = strlen(families);
    memset(addresses, 0, sizeof addresses);
    for (size_t i = 0; i < count; i++)
        addresses[i].storage.ss_family = families[i] == '6' ? AF_INET6 : AF_INET;
    skuai_connect_order(addresses, count, order);
    for (size_t i = 0; i < count; i++)
        found[i] = (char)('0' + order[i]);
    CHECK_STR(found, expected);
}
TEST(families_take_turns)
{
    check_order("", "");
    check_order("6", "0");
    check_order("44", "01");
    check_order("64", "01");
    check_order("46", "01");
    check_order("6664", "0312");
    check_order("4466", "0213");
    check_order("64446", "01423");
    check_order("666", "012");
    check_order("4666666666", "0123456789");
}

/* ---- addresses that answer, refuse, or say nothing ------------------------------------------------------------- */

static void check_peer(skua_stream *stream, const skua_address *expected)
{
    skua_address peer = { .length = sizeof peer.storage };
    CHECK_EQ(getpeername(skua_stream_fd(stream), (struct sockaddr *)(void *)&peer.storage, &peer.length), 0);
    CHECK(peer.length == expected->length && memcmp(&peer.storage, &expected->storage, peer.length) == 0);
}

static void expect_open(const struct world *world, const skua_address *addresses, size_t count, uint32_t delay_ms,
                        skua_runtime *rt)
{
    skua_stream *stream;
    skua_socket_options options = { .attempt_delay_ms = delay_ms, .runtime = rt };
    CHECK_OK(skua_connect_any(&stream, addresses, count, &options));
    check_peer(stream, &world->open);
    skua_stream_close(stream);
}

/* After a failure the next is tried at once: nobody waits for the delay, which is an hour. */
static int goes_on_at_once(struct world *world, skua_runtime *rt)
{
    enum { HOUR_MS = 3600 * 1000 };
    skua_stream *stream = NULL;
    const skua_address list[] = { world->refusing, world->refusing, world->open, world->refusing };
    const skua_address none[] = { world->refusing, world->refusing, world->refusing };
    expect_open(world, list, 4, HOUR_MS, rt);
    expect_open(world, list + 2, 2, HOUR_MS, rt);
    expect_open(world, list + 2, 1, HOUR_MS, rt);
    const skua_socket_options options = { .attempt_delay_ms = HOUR_MS, .runtime = rt };
    CHECK_EQ(skua_connect_any(&stream, none, 3, &options), -ECONNREFUSED);
    CHECK_EQ(skua_connect_any(&stream, none, 0, &options), -EINVAL);
    CHECK(stream == NULL);
    return 0;
}
static int refused(void *arg) { return goes_on_at_once(arg, NULL); }
TEST(a_refusal_leads_to_the_next)
{
    struct world world;
    make_world(&world);
    CHECK_EQ(run_on(1, refused, &world), 0);
    CHECK_EQ(run_on(8, refused, &world), 0);
    end_world(&world);
}

/* Who hears nothing tries the next when the delay is over, and what refuses meanwhile does not keep it. */
static int passes_silence(struct world *world, skua_runtime *rt)
{
    const skua_address list[] = { world->silent, world->silent, world->open };
    const skua_address mixed[] = { world->silent, world->refusing, world->open, world->silent };
    uint64_t before = skua_now();
    expect_open(world, list, 3, 10, rt);
    CHECK(skua_now() - before >= 20 * SKUA_MS);
    before = skua_now();
    expect_open(world, mixed, 4, 10, rt);
    CHECK(skua_now() - before >= 10 * SKUA_MS);
    before = skua_now();
    expect_open(world, list + 1, 2, 0, rt);
    CHECK(skua_now() - before >= 250 * SKUA_MS);
    return 0;
}
static int silent(void *arg) { return passes_silence(arg, NULL); }

/* Nobody answers: a deadline, or being cancelled, ends all that is under way. */
static int waits_for_ever(void *arg)
{
    struct world *world = arg;
    const skua_address list[] = { world->silent, world->silent, world->silent };
    skua_stream *stream;
    return skua_connect_any(&stream, list, 3, &(skua_socket_options){ .attempt_delay_ms = 2 });
}
static int is_interrupted(void *arg)
{
    skua_task *tasks[4];
    int64_t result;
    {
        SKUA_DEADLINE(10 * SKUA_MS);
        CHECK_EQ(waits_for_ever(arg), -ETIMEDOUT);
    }
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_spawn(&tasks[i], waits_for_ever, arg));
    for (int i = 0; i < 4; i++) {
        CHECK_OK(skua_sleep((uint64_t)i * 2 * SKUA_MS));
        skua_cancel(tasks[i]);
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, -ECANCELED);
    }
    return 0;
}
TEST(silence_is_not_waited_for)
{
    struct world world;
    make_world(&world);
    if (!world.has_silent) {
        end_world(&world);
        TEST_SKIP("a full backlog answers here");
    }
    CHECK_EQ(run_on(1, silent, &world), 0);
    CHECK_EQ(run_on(4, silent, &world), 0);
    CHECK_EQ(run_on(1, is_interrupted, &world), 0);
    CHECK_EQ(run_on(8, is_interrupted, &world), 0);
    end_world(&world);
}

/* Some tasks at once, all families that there are. */
static int joins_in(void *arg)
{
    struct world *world = arg;
    skua_address list[] = { world->refusing, world->open, world->refusing, world->open };
    CHECK_OK(skua_address_parse(&list[0], "tcp://[::1]:1")); /* nobody is there, or there is no such family */
    for (int i = 0; i < 10; i++)
        expect_open(world, list, 4, 1, NULL);
    return 0;
}
static int many(void *arg)
{
    skua_task *tasks[8];
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_spawn(&tasks[i], joins_in, arg));
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}
TEST(many_at_once)
{
    struct world world;
    make_world(&world);
    CHECK_EQ(run_on(8, many, &world), 0);
    end_world(&world);
}

TEST(from_a_plain_thread)
{
    struct world world;
    skua_runtime *rt;
    skua_config config = { .workers = 2, .ignore_environment = true, .workers_per_poller = test_workers_per_poller() };
    make_world(&world);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(goes_on_at_once(&world, rt), 0);
    if (world.has_silent)
        CHECK_EQ(passes_silence(&world, rt), 0);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_destroy(rt));
    end_world(&world);
}
