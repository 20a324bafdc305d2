/* Buffered reading, and copying between streams. */
#include "skua/reader.h"

#include <errno.h>
#include <string.h>

#include <skua/copy.h>
#include <skua/socket.h>

#include "support/with_runtime.h"

static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

/* Sends a text in pieces of so many bytes, then the end. */
struct sends {
    skua_stream *to;
    const char *text;
    size_t piece;
};
static int send_pieces(void *arg)
{
    struct sends *s = arg;
    size_t size = strlen(s->text);
    for (size_t at = 0; at < size; at += s->piece) {
        size_t piece = size - at < s->piece ? size - at : s->piece;
        CHECK_EQ(skua_write_all(s->to, s->text + at, piece), piece);
        skua_yield();
    }
    skua_stream_close(s->to);
    return 0;
}

static void check_record(ssize_t n, const char *record, const char *expected)
{
    CHECK_EQ(n, strlen(expected));
    CHECK(memcmp(record, expected, strlen(expected)) == 0);
}

static int lines(void *arg)
{
    (void)arg;
    for (size_t piece = 1; piece < 20; piece += 3) {
        skua_stream *pair[2];
        skua_task *task;
        skua_reader in;
        char memory[16], *record, rest[8];
        ssize_t n;
        CHECK_OK(skua_stream_pair(pair, NULL));
        struct sends s = { pair[1], "one\ntwo two\n\na;b;12345fifteen bytes!\nthis line is too long\nend", piece };
        CHECK_OK(skua_spawn(&task, send_pieces, &s));
        skua_reader_init(&in, pair[0], memory, sizeof memory);
        n = skua_read_line(&in, &record);
        check_record(n, record, "one\n");
        n = skua_read_line(&in, &record);
        check_record(n, record, "two two\n");
        n = skua_read_line(&in, &record);
        check_record(n, record, "\n");
        n = skua_read_until(&in, ';', &record);
        check_record(n, record, "a;");
        n = skua_read_until(&in, ';', &record);
        check_record(n, record, "b;");
        n = skua_read_record(&in, 5, &record);
        check_record(n, record, "12345");
        n = skua_read_line(&in, &record);
        check_record(n, record, "fifteen bytes!\n");
        CHECK_EQ(skua_read_record(&in, 17, &record), -EMSGSIZE);
        CHECK_EQ(skua_read_line(&in, &record), -EMSGSIZE);
        n = skua_read_record(&in, 16, &record);
        check_record(n, record, "this line is too");
        CHECK(skua_reader_read(&in, rest, 1) == 1 && rest[0] == ' ');
        n = skua_read_line(&in, &record);
        check_record(n, record, "long\n");
        n = skua_read_line(&in, &record);
        check_record(n, record, "end");
        CHECK_EQ(skua_read_line(&in, &record), 0);
        CHECK_OK(skua_join(task, NULL));
        skua_stream_close(pair[0]);
    }
    return 0;
}
TEST(lines_and_records) { run_for_real(lines); }

/* The same, in a future. */
struct reads {
    SKUA_FRAME;
    struct { skua_stream *from; } in;
    skua_reader reader;
    skua_reading reading;
    char memory[16], *record;
    int step;
};
/* What is taken, one after another: up to a delimiter, or so many. */
static const struct {
    char delimiter;
    size_t count;
    const char *expected; /* NULL: it is too long */
} steps[] = {
    { '\n', 0, "one\n" }, { '\n', 0, "two two\n" }, { '\n', 0, "\n" },    { ';', 0, "a;" },
    { ';', 0, "b;" },     { 0, 5, "12345" },          { '\n', 0, "fifteen bytes!\n" }, { 0, 17, NULL },
    { '\n', 0, NULL },    { 0, 16, "this line is too" }, { 0, 1, " " },       { '\n', 0, "long\n" },
    { 0, 0, "" },         { '\n', 0, "end" },         { '\n', 0, "" },       { 0, 3, "" },
};
SKUA_ASYNC(reads)
{
    SKUA_BEGIN(self);
    skua_reader_init(&self->reader, self->in.from, self->memory, sizeof self->memory);
    for (self->step = 0; self->step < (int)(sizeof steps / sizeof steps[0]); self->step++) {
        if (steps[self->step].delimiter == '\n')
            SKUA_AWAIT(skua_read_line_start(&self->reading, &self->reader, &self->record));
        else if (steps[self->step].delimiter != 0)
            SKUA_AWAIT(skua_read_until_start(&self->reading, &self->reader, steps[self->step].delimiter,
                                             &self->record));
        else
            SKUA_AWAIT(skua_read_record_start(&self->reading, &self->reader, steps[self->step].count, &self->record));
        if (steps[self->step].expected == NULL)
            CHECK_EQ(SKUA_RESULT(&self->reading), -EMSGSIZE);
        else
            check_record((ssize_t)SKUA_RESULT(&self->reading), self->record, steps[self->step].expected);
    }
    SKUA_END(0);
}

/* What came before it was cancelled is there for the next who reads. */
struct reads_half {
    SKUA_FRAME;
    struct { skua_reader *reader; } in;
    skua_reading reading;
    char *record;
};
SKUA_ASYNC(reads_half)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_read_line_start(&self->reading, self->in.reader, &self->record));
    SKUA_END(SKUA_RESULT(&self->reading));
}

static int lines_in_futures(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    skua_task *task, *reader;
    for (size_t piece = 1; piece < 20; piece += 3) {
        CHECK_OK(skua_stream_pair(pair, NULL));
        struct sends s = { pair[1], "one\ntwo two\n\na;b;12345fifteen bytes!\nthis line is too long\nend", piece };
        CHECK_OK(skua_spawn(&task, send_pieces, &s));
        CHECK_OK(SKUA_SPAWN(&reader, reads, .from = pair[0]));
        CHECK_OK(skua_join(reader, NULL));
        CHECK_OK(skua_join(task, NULL));
        skua_stream_close(pair[0]);
    }
    skua_reader in;
    char memory[16], *record;
    const char *there;
    int64_t result;
    CHECK_OK(skua_stream_pair(pair, NULL));
    skua_reader_init(&in, pair[0], memory, sizeof memory);
    CHECK_EQ(skua_write_all(pair[1], "half", 4), 4);
    CHECK_OK(SKUA_SPAWN(&task, reads_half, .reader = &in));
    CHECK_OK(skua_sleep(5 * SKUA_MS));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK(skua_reader_buffered(&in, &there) == 4 || skua_reader_buffered(&in, &there) == 0); /* it has begun, or not */
    CHECK_EQ(skua_write_all(pair[1], " done\n", 6), 6);
    check_record(skua_read_line(&in, &record), memory, "half done\n");
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return 0;
}
TEST(lines_and_records_in_futures) { run_for_real(lines_in_futures); }

static int interrupted(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    skua_reader in;
    char memory[16], *record;
    ssize_t n;
    CHECK_OK(skua_stream_pair(pair, NULL));
    skua_reader_init(&in, pair[0], memory, sizeof memory);
    CHECK_EQ(skua_write_all(pair[1], "half", 4), 4);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_read_line(&in, &record), -ETIMEDOUT);
    }
    CHECK_EQ(skua_write_all(pair[1], " done\n", 6), 6);
    n = skua_read_line(&in, &record);
    check_record(n, record, "half done\n");
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return 0;
}
TEST(an_interrupted_read_keeps_what_came) { run_for_real(interrupted); }

/* A client and an echoing server with a proxy between them. */
enum { BULK = 400000 };
static int echo(void *arg)
{
    int64_t n = skua_copy(arg, arg, UINT64_MAX, NULL);
    skua_stream_close(arg);
    return (int)n;
}
static int sends_bulk(void *arg)
{
    char block[3001];
    for (size_t done = 0; done < BULK;) {
        size_t size = BULK - done < sizeof block ? BULK - done : sizeof block;
        for (size_t i = 0; i < size; i++)
            block[i] = (char)((done + i) % 127);
        CHECK_EQ(skua_write_all(arg, block, size), size);
        done += size;
    }
    return skua_stream_shutdown_write(arg);
}
struct proxy {
    skua_stream *a, *b;
    uint64_t there, back;
};
static int proxies(void *arg)
{
    struct proxy *p = arg;
    CHECK_EQ(skua_copy_both(p->a, p->b, &p->there, &p->back), 0);
    skua_stream_close(p->a);
    skua_stream_close(p->b);
    return 0;
}
static int through_a_proxy(void *arg)
{
    (void)arg;
    skua_stream *client[2], *server[2];
    skua_task *tasks[3];
    int64_t echoed;
    CHECK_OK(skua_stream_pair(client, NULL));
    CHECK_OK(skua_stream_pair(server, NULL));
    struct proxy p = { client[1], server[0], 0, 0 };
    CHECK_OK(skua_spawn(&tasks[0], echo, server[1]));
    CHECK_OK(skua_spawn(&tasks[1], proxies, &p));
    CHECK_OK(skua_spawn(&tasks[2], sends_bulk, client[0]));
    char block[4096];
    ssize_t n;
    size_t done = 0;
    while ((n = skua_read(client[0], block, sizeof block)) > 0)
        for (ssize_t i = 0; i < n; i++, done++)
            CHECK_EQ(block[i], (char)(done % 127));
    CHECK_EQ(n, 0);
    CHECK_EQ(done, BULK);
    CHECK_OK(skua_join(tasks[0], &echoed));
    CHECK_EQ(echoed, BULK);
    CHECK_OK(skua_join(tasks[1], NULL));
    CHECK_OK(skua_join(tasks[2], NULL));
    CHECK_EQ(p.there, BULK);
    CHECK_EQ(p.back, BULK);
    skua_stream_close(client[0]);
    return 0;
}
TEST(a_proxy_and_an_echo) { run_for_real(through_a_proxy); }

static int limited(void *arg)
{
    (void)arg;
    skua_stream *from[2], *to[2];
    uint64_t copied;
    char buffer[16];
    CHECK_OK(skua_stream_pair(from, NULL));
    CHECK_OK(skua_stream_pair(to, NULL));
    CHECK_EQ(skua_write_all(from[1], "0123456789", 10), 10);
    CHECK_EQ(skua_copy(to[1], from[0], 4, &copied), 4);
    CHECK_EQ(copied, 4);
    CHECK_EQ(skua_read(to[0], buffer, sizeof buffer), 4);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_copy(to[1], from[0], UINT64_MAX, &copied), -ETIMEDOUT);
        CHECK_EQ(copied, 6);
    }
    for (int i = 0; i < 2; i++) {
        skua_stream_close(from[i]);
        skua_stream_close(to[i]);
    }
    return 0;
}
TEST(copies_that_end_early) { run_for_real(limited); }
