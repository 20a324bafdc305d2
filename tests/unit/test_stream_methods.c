/* Streams of one's own: one whose functions never wait (support/memory_pipe.h), and one whose functions wait
 * themselves, go through everything that takes a stream; closing ends what is under way; what is freed is freed once.
 */
#include "skua/stream_methods.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <skua/copy.h>
#include <skua/reader.h>
#include <skua/socket.h>

#include "support/memory_pipe.h"
#include "support/with_runtime.h"

/* ---- functions that wait themselves: what is read comes in capitals -------------------------------------------- */

struct capitals {
    skua_stream *inner;       /* stays until release: a call may be about to use it when it is closed */
    skua_cancel_token closed; /* ends those that wait in it */
    int *released;            /* __atomic */
};

static ssize_t capitals_read(void *object, const struct iovec *vectors, int count)
{
    struct capitals *self = object;
    SKUA_CANCEL_SCOPE(&self->closed);
    ssize_t n = skua_readv(self->inner, vectors, count);
    size_t left = n > 0 ? (size_t)n : 0;
    for (int i = 0; left > 0; i++) {
        size_t size = vectors[i].iov_len < left ? vectors[i].iov_len : left;
        char *text = vectors[i].iov_base;
        for (size_t k = 0; k < size; k++)
            if (text[k] >= 'a' && text[k] <= 'z')
                text[k] = (char)(text[k] - 'a' + 'A');
        left -= size;
    }
    return n;
}
static ssize_t capitals_write(void *object, const struct iovec *vectors, int count)
{
    struct capitals *self = object;
    SKUA_CANCEL_SCOPE(&self->closed);
    return skua_writev(self->inner, vectors, count);
}
static int capitals_shutdown_write(void *object)
{
    return skua_stream_shutdown_write(((struct capitals *)object)->inner);
}
static void capitals_close(void *object) { skua_cancel_token_cancel(&((struct capitals *)object)->closed); }
static void capitals_release(void *object)
{
    struct capitals *self = object;
    skua_stream_close(self->inner);
    skua_cancel_token_fini(&self->closed);
    if (self->released != NULL)
        __atomic_fetch_add(self->released, 1, __ATOMIC_RELAXED);
    free(self);
}
static const skua_stream_methods capitals_methods = {
    .read = capitals_read,
    .write = capitals_write,
    .shutdown_write = capitals_shutdown_write,
    .close = capitals_close,
    .release = capitals_release,
};

static skua_stream *make_capitals(skua_stream *inner, int *released)
{
    struct capitals *self = malloc(sizeof *self);
    skua_stream *stream;
    CHECK(self != NULL);
    *self = (struct capitals){ .inner = inner, .released = released };
    skua_cancel_token_init(&self->closed, NULL);
    CHECK_OK(skua_stream_make(&stream, &capitals_methods, self));
    CHECK(skua_stream_object(stream, &capitals_methods) == self);
    CHECK(skua_stream_object(stream, &memory_methods) == NULL);
    return stream;
}

/* ---- everything that takes a stream ----------------------------------------------------------------------------- */

enum { RING = 64, BULK = 3000 };

static int writes_bulk(void *arg)
{
    char block[101];
    size_t written;
    for (size_t done = 0; done < BULK;) {
        size_t size = BULK - done < sizeof block ? BULK - done : sizeof block;
        for (size_t i = 0; i < size; i++)
            block[i] = (char)('0' + (done + i) % 10);
        if (done % 2 == 0) {
            CHECK_EQ(skua_write_all_counted(arg, block, size, &written), size);
            CHECK_EQ(written, size);
            done += size;
        } else {
            struct iovec halves[3] = { { block, size / 2 }, { NULL, 0 }, { block + size / 2, size - size / 2 } };
            ssize_t n = skua_writev(arg, halves, 3);
            CHECK(n > 0 && n <= (ssize_t)size);
            done += (size_t)n;
        }
    }
    return skua_stream_shutdown_write(arg);
}

static void read_bulk(skua_stream *from)
{
    char block[77];
    size_t done = 0;
    ssize_t n = 1;
    for (int i = 0; n > 0; i++) {
        struct iovec halves[2] = { { block, 7 }, { block + 7, sizeof block - 7 } };
        n = i % 3 == 0   ? skua_readv(from, halves, 2)
            : i % 3 == 1 ? skua_read(from, block, sizeof block)
                         : skua_read_exactly(from, block, 50, NULL);
        for (ssize_t k = 0; k < n; k++)
            CHECK_EQ(block[k], (char)('0' + (done + (size_t)k) % 10));
        done += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(done, BULK);
}

static void move_bulk(skua_stream *to, skua_stream *from)
{
    skua_task *task;
    CHECK_OK(skua_spawn(&task, writes_bulk, to));
    read_bulk(from);
    CHECK_OK(skua_join(task, NULL));
}

static void talk_lines(skua_stream *to, skua_stream *from, const char *first)
{
    skua_reader in;
    char memory[32], *line;
    CHECK_EQ(skua_write_all(to, "one\ntwo;12345rest", 17), 17);
    CHECK_OK(skua_stream_shutdown_write(to));
    skua_reader_init(&in, from, memory, sizeof memory);
    CHECK_EQ(skua_read_line(&in, &line), 4);
    CHECK(memcmp(line, first, 4) == 0);
    CHECK_EQ(skua_read_until(&in, ';', &line), 4);
    CHECK_EQ(skua_read_record(&in, 5, &line), 5);
    CHECK(memcmp(line, "12345", 5) == 0);
    CHECK_EQ(skua_read_line(&in, &line), 4);
    CHECK_EQ(skua_read_line(&in, &line), 0);
}

static int everything(void *arg)
{
    (void)arg;
    int released = 0;
    for (int i = 0; i < 4; i++) {
        skua_stream *ends[2];
        CHECK_OK(memory_pipe_make(ends, RING));
        if (i % 2 != 0)
            ends[1] = make_capitals(ends[1], &released);
        if (i < 2) {
            move_bulk(ends[0], ends[1]);
            move_bulk(ends[1], ends[0]);
        } else {
            talk_lines(ends[0], ends[1], i % 2 != 0 ? "ONE\n" : "one\n");
        }
        CHECK_EQ(skua_stream_fd(ends[0]), -EBADF);
        skua_stream_close(ends[0]);
        skua_stream_close(ends[1]);
    }
    CHECK_EQ(released, 2);
    return 0;
}
TEST(everything_that_takes_a_stream) { run_everywhere(everything, NULL); }

/* A proxy between two of them, and echoes by copying. */
static int echoes(void *arg)
{
    int64_t n = skua_copy(arg, arg, UINT64_MAX, NULL);
    CHECK_EQ(n, BULK);
    return skua_stream_shutdown_write(arg);
}
struct proxy {
    skua_stream *a, *b;
};
static int proxies(void *arg)
{
    struct proxy *p = arg;
    uint64_t there, back;
    CHECK_EQ(skua_copy_both(p->a, p->b, &there, &back), 0);
    CHECK(there == BULK && back == BULK);
    return 0;
}
static void copy_between(skua_stream *near[2], skua_stream *far[2])
{
    struct proxy p = { near[1], far[0] };
    skua_task *tasks[3];
    CHECK_OK(skua_spawn(&tasks[0], writes_bulk, near[0]));
    CHECK_OK(skua_spawn(&tasks[1], proxies, &p));
    CHECK_OK(skua_spawn(&tasks[2], echoes, far[1]));
    read_bulk(near[0]);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    for (int i = 0; i < 2; i++) {
        skua_stream_close(near[i]);
        skua_stream_close(far[i]);
    }
}
static int copies(void *arg)
{
    (void)arg;
    skua_stream *near[2], *far[2];
    CHECK_OK(memory_pipe_make(near, RING));
    CHECK_OK(memory_pipe_make(far, 10 * RING));
    far[1] = make_capitals(far[1], NULL);
    copy_between(near, far);
    return 0;
}
TEST(copies_go_by_reading_and_writing) { run_everywhere(copies, NULL); }

static int copies_to_sockets(void *arg)
{
    (void)arg;
    skua_stream *near[2], *far[2];
    CHECK_OK(memory_pipe_make(near, RING));
    CHECK_OK(skua_stream_pair(far, NULL));
    copy_between(near, far);
    CHECK_OK(memory_pipe_make(far, RING));
    CHECK_OK(skua_stream_pair(near, NULL));
    copy_between(near, far);
    return 0;
}
TEST(copies_between_one_of_ones_own_and_a_socket)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2)
        CHECK_EQ(run_on(workers, copies_to_sockets, NULL), 0);
}

/* ---- in futures and selects ------------------------------------------------------------------------------------- */

struct echo2 {
    SKUA_FRAME;
    struct { skua_stream *peer; } in;
    skua_io io;
    char buffer[40];
};
SKUA_ASYNC(echo2)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_read_start(&self->io, self->in.peer, self->buffer, sizeof self->buffer));
        if (SKUA_RESULT(&self->io) <= 0)
            break;
        SKUA_AWAIT(skua_write_all_start(&self->io, self->in.peer, self->buffer, (size_t)SKUA_RESULT(&self->io)));
        if (SKUA_RESULT(&self->io) < 0)
            break;
    }
    SKUA_RETURN(SKUA_RESULT(&self->io));
    SKUA_END(0);
}

static int in_futures(void *arg)
{
    (void)arg;
    for (int i = 0; i < 6; i++) {
        skua_stream *ends[2];
        skua_task *task;
        int64_t result;
        char sent[300], got[300];
        memset(sent, 'a' + i, sizeof sent);
        CHECK_OK(memory_pipe_make(ends, RING));
        CHECK_OK(SKUA_SPAWN(&task, echo2, .peer = ends[1]));
        for (int k = 0; k < 6; k++) {
            CHECK_EQ(skua_write_all(ends[0], sent, 50), 50);
            CHECK_EQ(skua_read_exactly(ends[0], got, 50, NULL), 50);
            CHECK(memcmp(sent, got, 50) == 0);
        }
        if (i % 3 == 0)
            CHECK_OK(skua_stream_shutdown_write(ends[0]));
        else if (i % 3 == 1)
            skua_cancel(task);
        else
            skua_stream_close(ends[1]); /* under who reads */
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, i % 3 == 0 ? 0 : -ECANCELED);
        skua_stream_close(ends[0]);
        if (i % 3 != 2)
            skua_stream_close(ends[1]);
    }
    return 0;
}
TEST(in_futures_too) { run_everywhere(in_futures, NULL); }

static int futures_refused(void *arg)
{
    (void)arg;
    skua_stream *ends[2];
    skua_task *task;
    skua_op op;
    int64_t result;
    CHECK_OK(memory_pipe_make(ends, RING));
    ends[1] = make_capitals(ends[1], NULL);
    CHECK_OK(SKUA_SPAWN(&task, echo2, .peer = ends[1]));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ENOTSUP);
    skua_op *arm = skua_stream_readable_prepare(&op, ends[1]);
    CHECK_EQ(skua_select(&arm, 1), 0);
    CHECK_EQ(op.result, -ENOTSUP);
    arm = skua_stream_writable_prepare(&op, ends[1]);
    CHECK_EQ(skua_select_try(&arm, 1), 0);
    CHECK_EQ(op.result, -ENOTSUP);
    skua_stream_close(ends[0]);
    skua_stream_close(ends[1]);
    return 0;
}
TEST(functions_that_wait_are_not_for_futures) { run_everywhere(futures_refused, NULL); }

static int arms(void *arg)
{
    (void)arg;
    skua_stream *ends[2];
    skua_op ops[2];
    char bytes[RING] = "x";
    CHECK_OK(memory_pipe_make(ends, RING));
    CHECK_EQ(skua_write_all(ends[0], bytes, RING), RING); /* full one way, empty the other */
    for (int i = 0; i < 2; i++) {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(i == 0 ? skua_write(ends[0], bytes, 1) : skua_read(ends[0], bytes, 1), -ETIMEDOUT);
    }
    skua_op *both[2] = { skua_stream_readable_prepare(&ops[0], ends[0]),
                         skua_stream_writable_prepare(&ops[1], ends[0]) };
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_read(ends[1], bytes, 1), 1);
    CHECK_EQ(skua_select(both, 2), 1);
    CHECK_EQ(skua_write(ends[0], bytes, 1), 1);
    skua_stream_close(ends[0]);
    skua_stream_close(ends[1]);
    return 0;
}
TEST(as_arms) { run_everywhere(arms, NULL); }

/* ---- ends and errors -------------------------------------------------------------------------------------------- */

static int reads_one(void *arg)
{
    char byte;
    return (int)skua_read(arg, &byte, 1);
}
static int writes_much(void *arg)
{
    char much[3 * RING] = "m";
    size_t written;
    ssize_t n = skua_write_all_counted(arg, much, sizeof much, &written);
    CHECK(n == -EPIPE ? written == RING || written == 0 : written == RING); /* which fit; or it came too late */
    return (int)n;
}

static void close_other_side(skua_fiber_fn *fn, bool wrapped, int expected)
{
    skua_stream *ends[2];
    skua_task *tasks[3];
    int64_t result;
    int released = 0, count = fn == writes_much ? 1 : 3;
    CHECK_OK(memory_pipe_make(ends, RING));
    if (wrapped)
        ends[1] = make_capitals(ends[1], &released);
    for (int i = 0; i < count; i++)
        CHECK_OK(skua_spawn(&tasks[i], fn, ends[1]));
    CHECK_OK(skua_sleep(SKUA_MS / 5));
    skua_stream_close(ends[0]);
    for (int i = 0; i < count; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, expected);
    }
    skua_stream_close(ends[1]);
    CHECK_EQ(released, wrapped);
}
static int closing(void *arg)
{
    (void)arg;
    for (int wrapped = 0; wrapped < 2; wrapped++) {
        close_other_side(reads_one, wrapped, 0);
        close_other_side(writes_much, wrapped, -EPIPE);
    }
    return 0;
}
TEST(closed_by_the_other_side) { run_everywhere(closing, NULL); }

/* Closed under who reads or writes: the call has moved more than fits, so it is under way, and it is not over. It waits
 * by now, or the other side goes on at the same time. */
enum { MUCH = 20 * RING, TIMES = 20 };
static int reads_much(void *arg)
{
    char much[MUCH];
    size_t got;
    ssize_t n = skua_read_exactly(arg, much, sizeof much, &got);
    CHECK(got > 0 && got < MUCH);
    return (int)n;
}
static int writes_too_much(void *arg)
{
    char much[MUCH] = "m";
    size_t written;
    ssize_t n = skua_write_all_counted(arg, much, sizeof much, &written);
    CHECK(written > 0 && written < MUCH);
    return (int)n;
}
static int goes_on(void *arg)
{
    struct {
        skua_stream *stream;
        bool reads;
    } *other = arg;
    char bytes[2 * RING] = "o";
    ssize_t n = other->reads ? skua_read_exactly(other->stream, bytes, sizeof bytes, NULL)
                             : skua_write_all(other->stream, bytes, sizeof bytes);
    CHECK(n == -EPIPE || (n >= 0 && (other->reads || n == sizeof bytes)));
    return 0;
}
static void close_amidst(bool reads, bool wrapped, bool waits)
{
    skua_stream *ends[2];
    skua_task *tasks[2];
    int64_t result;
    int released = 0;
    char bytes[RING + 1] = "b";
    CHECK_OK(memory_pipe_make(ends, RING));
    if (wrapped)
        ends[1] = make_capitals(ends[1], &released);
    struct {
        skua_stream *stream;
        bool reads;
    } other = { ends[0], !reads };
    CHECK_OK(skua_spawn(&tasks[0], reads ? reads_much : writes_too_much, ends[1]));
    if (reads)
        CHECK_EQ(skua_write_all(ends[0], bytes, sizeof bytes), sizeof bytes);
    else
        CHECK_EQ(skua_read_exactly(ends[0], bytes, sizeof bytes, NULL), sizeof bytes);
    if (waits)
        CHECK_OK(skua_sleep(SKUA_MS / 5));
    else
        CHECK_OK(skua_spawn(&tasks[1], goes_on, &other));
    skua_stream_close(ends[1]);
    CHECK_OK(skua_join(tasks[0], &result));
    CHECK_EQ(result, -ECANCELED);
    if (!waits)
        CHECK_OK(skua_join(tasks[1], NULL));
    skua_stream_close(ends[0]);
    CHECK_EQ(released, wrapped);
}
static int closing_amidst(void *arg)
{
    (void)arg;
    for (int i = 0; i < 8 * TIMES; i++)
        close_amidst(i % 2 != 0, i % 4 >= 2, i % 8 >= 4);
    return 0;
}
TEST(closed_under_who_reads_or_writes) { run_everywhere(closing_amidst, NULL); }

/* Cancelled and late; and what was written in part says how much. */
static int interrupted(void *arg)
{
    (void)arg;
    skua_stream *ends[2];
    skua_task *task;
    int64_t result;
    char much[2 * RING] = "", byte;
    size_t moved;
    CHECK_OK(memory_pipe_make(ends, RING));
    CHECK_OK(skua_spawn(&task, reads_one, ends[1]));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_write_all_counted(ends[0], much, sizeof much, &moved), -ETIMEDOUT);
        CHECK_EQ(moved, RING);
        CHECK_EQ(skua_read(ends[1], &byte, 1), -ETIMEDOUT); /* though there is something: nothing was read */
    }
    CHECK_EQ(skua_read_exactly(ends[1], much, RING, &moved), RING);
    CHECK_EQ(skua_read(ends[1], &byte, 0), 0);
    CHECK_EQ(skua_write_all(ends[1], &byte, 0), 0);
    skua_stream_close(ends[0]);
    CHECK_EQ(skua_read(ends[1], &byte, 1), 0);
    CHECK_EQ(skua_write_all_counted(ends[1], &byte, 1, &moved), -EPIPE);
    CHECK_EQ(moved, 0);
    skua_stream_close(ends[1]);
    return 0;
}
TEST(cancelled_and_late) { run_everywhere(interrupted, NULL); }

/* Functions that are missing, and such as lie. */
static ssize_t lies(void *object, const struct iovec *vectors, int count)
{
    (void)vectors;
    (void)count;
    return *(ssize_t *)object;
}
static int wrong_functions(void *arg)
{
    static const skua_stream_methods none = { .read = NULL }, lying = { .read = lies, .write = lies };
    (void)arg;
    skua_stream *stream;
    ssize_t answer;
    char byte;
    CHECK_OK(skua_stream_make(&stream, &none, NULL));
    CHECK_EQ(skua_read(stream, &byte, 1), -EBADF);
    CHECK_EQ(skua_write_all(stream, &byte, 1), -EBADF);
    CHECK_EQ(skua_stream_shutdown_write(stream), -ENOTSUP);
    skua_stream_close(stream);
    CHECK_OK(skua_stream_make(&stream, &lying, &answer));
    answer = 2;
    CHECK_EQ(skua_read(stream, &byte, 1), -EIO);
    CHECK_EQ(skua_write_all(stream, &byte, 1), -EIO);
    answer = 0;
    CHECK_EQ(skua_read(stream, &byte, 1), 0);
    CHECK_EQ(skua_write(stream, &byte, 1), -EIO);
    answer = -EAGAIN;
    CHECK_EQ(skua_read(stream, &byte, 1), -EIO);
    answer = -ECONNRESET;
    CHECK_EQ(skua_read(stream, &byte, 1), -ECONNRESET);
    skua_stream_close(stream);
    return 0;
}
TEST(wrong_functions_do_no_harm) { run_everywhere(wrong_functions, NULL); }

/* ---- plain threads ---------------------------------------------------------------------------------------------- */

static void *writes_in_a_thread(void *arg)
{
    CHECK_OK(writes_bulk(arg));
    return NULL;
}
static int with_threads(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        skua_stream *ends[2];
        pthread_t thread;
        CHECK_OK(memory_pipe_make(ends, RING));
        if (i == 1)
            ends[1] = make_capitals(ends[1], NULL);
        CHECK_EQ(pthread_create(&thread, NULL, writes_in_a_thread, ends[1]), 0);
        read_bulk(ends[0]);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        skua_stream_close(ends[1]);
        skua_stream_close(ends[0]);
    }
    return 0;
}
TEST(plain_threads_use_them)
{
    for (uint32_t workers = 1; workers <= 4; workers *= 2)
        CHECK_EQ(run_on(workers, with_threads, NULL), 0);
}
