/* The example server's connections and keeper on several workers, without its command: clients ask as fast as they can,
 * and when the server stops each of them has whole answers, the last of which says so, or a clean end.
 */
#define _GNU_SOURCE
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <string.h>

#include "support/test.h"
#include "support/with_runtime.h"

enum { CLIENTS = 24, BATCH = 5 };

struct town {
    struct options options;
    struct server server;
    skua_wait_group asked; /* clients that have not had their first answers */
};

struct visitor {
    struct town *town;
    skua_stream *ours, *theirs;
    int number;
};

static int serve(void *arg)
{
    struct visitor *v = arg;
    connection_serve(&v->town->server, v->theirs, "visitor");
    return 0;
}

static size_t count(const char *text, size_t size, const char *word)
{
    size_t found = 0, length = strlen(word);
    for (const char *at = text; (at = memmem(at, size - (size_t)(at - text), word, length)) != NULL; at += length)
        found++;
    return found;
}

/* Asks a batch and reads its answers. Returns how many came. */
static size_t ask(const struct visitor *v, bool *is_last)
{
    static const char one[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    char text[BATCH * 256];
    size_t size = 0, answers = 0;
    ssize_t n = 1;
    for (int i = 0; i < BATCH; i++)
        memcpy(text + (size_t)i * (sizeof one - 1), one, sizeof one - 1);
    if (skua_write_all(v->ours, text, BATCH * (sizeof one - 1)) < 0) {
        *is_last = true;
        return 0;
    }
    while (answers < BATCH && (n = skua_read(v->ours, text + size, sizeof text - size)) > 0) {
        size += (size_t)n;
        answers = count(text, size, "world!\n");
    }
    CHECK_EQ(count(text, size, "HTTP/1.1 200 OK\r\n"), answers); /* none is cut */
    *is_last = n <= 0 || count(text, size, "Connection: close\r\n") > 0;
    return answers;
}

static int visit(void *arg)
{
    const struct visitor *v = arg;
    bool is_last = false;
    size_t answers = ask(v, &is_last);
    CHECK_EQ(answers, BATCH);
    CHECK(!is_last);
    skua_wait_group_done(&v->town->asked);
    while (!is_last && v->number % 4 != 0) { /* each fourth is idle, and waits for the end */
        size_t more = ask(v, &is_last);
        CHECK(more == BATCH || is_last);
    }
    char byte;
    ssize_t n = skua_read(v->ours, &byte, 1);
    CHECK(n == 0 || n == -ECONNRESET); /* reset: what was asked after the last answer */
    skua_stream_close(v->ours);
    return 0;
}

static int town(void *arg)
{
    struct visitor visitors[CLIENTS];
    struct town *t = arg;
    skua_task *keeper;
    t->options = options_default;
    t->options.idle_ns = t->options.head_ns = t->options.write_ns = t->options.linger_ns = 0; /* no time-outs */
    t->server = (struct server){ .options = &t->options, .root = -1 };
    skua_wait_group_init(&t->asked, CLIENTS);
    keeper_init(&t->server.keeper, &t->options);
    t->server.keeper.tick_ns = SKUA_MS; /* so that it looks often */
    CHECK_OK(skua_spawn(&keeper, keeper_run, &t->server.keeper));
    SKUA_GROUP(group);
    for (int i = 0; i < CLIENTS; i++) {
        skua_stream *pair[2];
        CHECK_OK(skua_stream_pair(pair, NULL));
        visitors[i] = (struct visitor){ t, pair[0], pair[1], i };
        CHECK_OK(skua_group_go(&group, serve, &visitors[i]));
        CHECK_OK(skua_group_go(&group, visit, &visitors[i]));
    }
    CHECK_OK(skua_wait_group_wait(&t->asked));
    keeper_stop(&t->server.keeper, SKUA_NEVER);
    CHECK_OK(skua_group_wait(&group));
    CHECK_EQ(t->server.keeper.count, 0);
    CHECK_EQ(t->server.keeper.connections, CLIENTS);
    CHECK_EQ(t->server.keeper.timeouts, 0);
    skua_cancel(keeper);
    CHECK_OK(skua_join(keeper, NULL));
    return 0;
}

TEST(stops_without_losing_an_answer)
{
    test_allow_heap_growth(512); /* glibc keeps what it knows of the time zone */
    for (uint64_t i = 0; i < test_scaled(20); i++)
        for (uint32_t workers = 1; workers <= 4; workers *= 2) {
            struct town t;
            CHECK_OK(run_in((skua_config){ .workers = workers }, town, &t));
        }
}
