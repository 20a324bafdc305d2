/* Descriptors over unix sockets, and who the peer is: what comes works and is close-on-exec; what is not handed out is
 * closed, whatever goes wrong. */
#define _GNU_SOURCE
#include "skua/fd_passing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skua/socket.h>

#include "support/memory_pipe.h"
#include "support/with_runtime.h"

static int open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* What was opened meanwhile is closed. */
static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    int before = open_fds();
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
    CHECK_EQ(open_fds(), before);
}

static void check_same_file(int a, int b)
{
    struct stat of_a, of_b;
    CHECK_EQ(fstat(a, &of_a), 0);
    CHECK_EQ(fstat(b, &of_b), 0);
    CHECK(of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino && a != b);
}

static void close_fds(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(close(fds[i]), 0);
}

static int passing(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    int pipes[2], fds[4];
    size_t count = 9;
    char bytes[8];
    CHECK_OK(skua_stream_pair(pair, NULL));
    CHECK_EQ(pipe(pipes), 0);
    CHECK_EQ(skua_send_fds(pair[0], "two", 3, pipes, 2), 3);
    CHECK_EQ(skua_receive_fds(pair[1], bytes, sizeof bytes, fds, 4, &count), 3);
    CHECK_EQ(count, 2);
    CHECK(memcmp(bytes, "two", 3) == 0);
    for (int i = 0; i < 2; i++) {
        check_same_file(fds[i], pipes[i]);
        CHECK_EQ(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
    }
    close_fds(pipes, 2);
    CHECK_EQ(write(fds[1], "through", 7), 7); /* the pipe lives on */
    CHECK_EQ(read(fds[0], bytes, sizeof bytes), 7);
    close_fds(fds, 2);
    CHECK_EQ(skua_write_all(pair[0], "plain", 5), 5);
    CHECK_EQ(skua_receive_fds(pair[1], bytes, sizeof bytes, NULL, 0, &count), 5);
    CHECK_EQ(count, 0);
    skua_stream_close(pair[0]);
    CHECK_EQ(skua_receive_fds(pair[1], bytes, sizeof bytes, fds, 4, &count), 0);
    skua_stream_close(pair[1]);
    return 0;
}
TEST(descriptors_come_through) { run_for_real(passing); }

/* Several messages, each with its own, as a receiver who waits for each gets them. */
enum { MESSAGES = 40 };
static int sends_many(void *arg)
{
    for (int i = 0; i < MESSAGES; i++) {
        int pipes[2];
        CHECK_EQ(pipe(pipes), 0);
        CHECK_EQ(write(pipes[1], &i, sizeof i), sizeof i);
        CHECK_EQ(skua_send_fds(arg, "m", 1, pipes, 1), 1);
        close_fds(pipes, 2);
        if (i % 3 == 0)
            skua_yield();
    }
    return 0;
}
static void check_number(int fd, int expected)
{
    int number;
    CHECK_EQ(read(fd, &number, sizeof number), sizeof number);
    CHECK_EQ(number, expected);
    CHECK_EQ(close(fd), 0);
}
static int many(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    skua_task *task;
    CHECK_OK(skua_stream_pair(pair, NULL));
    CHECK_OK(skua_spawn(&task, sends_many, pair[0]));
    for (int i = 0; i < MESSAGES; i++) {
        int fd;
        size_t count;
        char byte[10];
        CHECK_EQ(skua_receive_fds(pair[1], byte, sizeof byte, &fd, 1, &count), 1);
        CHECK_EQ(count, 1);
        check_number(fd, i);
    }
    CHECK_OK(skua_join(task, NULL));
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return 0;
}
TEST(each_message_has_its_own) { run_for_real(many); }

struct receives {
    SKUA_FRAME;
    struct { skua_stream *from; } in;
    skua_fds_io io;
    int fds[2], round;
    char byte;
};
SKUA_ASYNC(receives)
{
    SKUA_BEGIN(self);
    for (self->round = 0; self->round < MESSAGES; self->round++) {
        SKUA_AWAIT(skua_receive_fds_start(&self->io, self->in.from, &self->byte, 1, self->fds, 2));
        if (SKUA_RESULT(&self->io) <= 0)
            SKUA_RETURN(SKUA_RESULT(&self->io));
        CHECK_EQ(self->io.count, 1);
        check_number(self->fds[0], self->round);
    }
    SKUA_END(0);
}
struct sends {
    SKUA_FRAME;
    struct { skua_stream *to; int fd; } in;
    skua_fds_io io;
};
SKUA_ASYNC(sends)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_send_fds_start(&self->io, self->in.to, "f", 1, &self->in.fd, 1));
    SKUA_END(SKUA_RESULT(&self->io));
}
static int in_futures(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    skua_task *tasks[2];
    int64_t result;
    int fd;
    size_t count;
    char byte;
    CHECK_OK(skua_stream_pair(pair, NULL));
    CHECK_OK(SKUA_SPAWN(&tasks[0], receives, .from = pair[1]));
    CHECK_OK(skua_spawn(&tasks[1], sends_many, pair[0]));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 0);
    }
    CHECK_OK(SKUA_SPAWN(&tasks[0], sends, .to = pair[1], .fd = skua_stream_fd(pair[0])));
    CHECK_OK(skua_join(tasks[0], &result));
    CHECK_EQ(result, 1);
    CHECK_EQ(skua_receive_fds(pair[0], &byte, 1, &fd, 1, &count), 1);
    check_same_file(fd, skua_stream_fd(pair[0]));
    close_fds(&fd, 1);
    CHECK_OK(SKUA_SPAWN(&tasks[0], sends, .to = pair[1], .fd = -1));
    CHECK_OK(skua_join(tasks[0], &result));
    CHECK_EQ(result, -EBADF);
    for (int i = 0; i < 2; i++) { /* cancelled, and closed under it */
        CHECK_OK(SKUA_SPAWN(&tasks[0], receives, .from = pair[1]));
        CHECK_OK(skua_sleep(SKUA_MS));
        if (i == 0)
            skua_cancel(tasks[0]);
        else
            skua_stream_close(pair[1]);
        CHECK_OK(skua_join(tasks[0], &result));
        CHECK_EQ(result, -ECANCELED);
    }
    skua_stream_close(pair[0]);
    return 0;
}
TEST(in_futures_too) { run_for_real(in_futures); }

/* ---- what is not handed out is closed --------------------------------------------------------------------------- */

/* The pipe's reading end is at its end as soon as nobody has the writing end, of which copies were sent. */
static void check_all_closed(int pipes[2])
{
    char byte;
    CHECK_EQ(close(pipes[1]), 0);
    CHECK_EQ(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(read(pipes[0], &byte, 1), 0);
    CHECK_EQ(close(pipes[0]), 0);
}

static int too_many(void *arg)
{
    (void)arg;
    static const size_t sent[] = { 2, 3, SKUA_FDS_MAX };
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        skua_stream *pair[2];
        int pipes[2], copies[SKUA_FDS_MAX], fds[SKUA_FDS_MAX];
        size_t count = 7;
        char byte;
        CHECK_OK(skua_stream_pair(pair, NULL));
        CHECK_EQ(pipe(pipes), 0);
        for (size_t k = 0; k < sent[i]; k++)
            copies[k] = pipes[1];
        CHECK_EQ(skua_send_fds(pair[0], "x", 1, copies, sent[i]), 1);
        CHECK_EQ(skua_receive_fds(pair[1], &byte, 1, fds, sent[i] - 1, &count), -EMSGSIZE);
        CHECK_EQ(count, 0);
        CHECK_EQ(skua_send_fds(pair[0], "y", 1, copies, sent[i]), 1);
        CHECK_EQ(skua_receive_fds(pair[1], &byte, 1, fds, sent[i], &count), 1);
        CHECK_EQ(count, sent[i]);
        close_fds(fds, count);
        CHECK_EQ(skua_send_fds(pair[0], "z", 1, copies, sent[i]), 1);
        CHECK_EQ(skua_read(pair[1], &byte, 1), 1); /* does not ask for them */
        CHECK_EQ(byte, 'z');
        CHECK_EQ(skua_send_fds(pair[0], "!", 1, copies, sent[i]), 1);
        skua_stream_close(pair[0]);
        skua_stream_close(pair[1]); /* what is under way goes with it */
        check_all_closed(pipes);
    }
    return 0;
}
TEST(more_than_there_is_room_for) { run_for_real(too_many); }

/* As few descriptors are allowed as there are. */
static void receive_at_the_limit(skua_stream *from, bool one_more)
{
    struct rlimit before, low;
    int fds[4], lowest = dup(0);
    size_t count = 7;
    char byte;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)lowest + one_more;
    CHECK_EQ(close(lowest), 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    ssize_t n = skua_receive_fds(from, &byte, 1, fds, 4, &count);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_EQ(n, -EMFILE);
    CHECK_EQ(count, 0);
}
static int at_the_limit(void *arg)
{
    (void)arg;
    for (int one_more = 0; one_more < 2; one_more++) {
        skua_stream *pair[2];
        int pipes[2];
        CHECK_OK(skua_stream_pair(pair, NULL));
        CHECK_EQ(pipe(pipes), 0);
        CHECK_EQ(skua_send_fds(pair[0], "x", 1, (int[]){ pipes[1], pipes[1], pipes[1] }, 3), 1);
        receive_at_the_limit(pair[1], one_more);
        skua_stream_close(pair[0]);
        skua_stream_close(pair[1]);
        check_all_closed(pipes);
    }
    return 0;
}
TEST(more_than_the_process_may_have) { run_for_real(at_the_limit); }

static int refused(void *arg)
{
    (void)arg;
    skua_stream *pair[2], *ends[2], *memory[2], *tcp;
    skua_listener *listener;
    skua_address address;
    skua_peer_credentials peer;
    int fds[2], many[SKUA_FDS_MAX + 1] = { 0 };
    size_t count;
    char byte = 'x';
    CHECK_OK(skua_stream_pair(pair, NULL));
    CHECK_EQ(skua_send_fds(pair[0], &byte, 0, fds, 1), -EINVAL);
    CHECK_EQ(skua_send_fds(pair[0], &byte, 1, fds, 0), -EINVAL);
    CHECK_EQ(skua_send_fds(pair[0], &byte, 1, many, SKUA_FDS_MAX + 1), -EINVAL);
    CHECK_EQ(skua_send_fds(pair[0], &byte, 1, (int[]){ -1 }, 1), -EBADF);
    CHECK_EQ(skua_receive_fds(pair[0], &byte, 0, fds, 1, &count), -EINVAL);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_receive_fds(pair[0], &byte, 1, fds, 1, &count), -ETIMEDOUT);
        CHECK_EQ(count, 0);
    }
    skua_stream_close(pair[1]);
    CHECK_EQ(skua_send_fds(pair[0], &byte, 1, (int[]){ 0 }, 1), -EPIPE);
    skua_stream_close(pair[0]);
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(memory_pipe_make(memory, 10));
    CHECK_OK(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(skua_connect_to(&tcp, &address, NULL));
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_stream_open(&ends[i], NULL, fds[i]));
    skua_stream *others[] = { ends[1], memory[0], tcp };
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(skua_send_fds(others[i], &byte, 1, (int[]){ 0 }, 1), -ENOTSUP);
        CHECK_EQ(skua_receive_fds(others[i], &byte, 1, many, 1, &count), -ENOTSUP);
        CHECK_EQ(skua_stream_peer_credentials(others[i], &peer), -ENOTSUP);
    }
    for (int i = 0; i < 2; i++) {
        skua_stream_close(ends[i]);
        skua_stream_close(memory[i]);
    }
    skua_stream_close(tcp);
    skua_listener_close(listener);
    return 0;
}
TEST(what_is_refused) { run_for_real(refused); }

/* ---- the peer --------------------------------------------------------------------------------------------------- */

static void check_peer(skua_stream *stream)
{
    skua_peer_credentials peer;
    CHECK_OK(skua_stream_peer_credentials(stream, &peer));
    CHECK_EQ(peer.pid, getpid());
    CHECK_EQ(peer.uid, geteuid());
    CHECK_EQ(peer.gid, getegid());
}
static int peers(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    skua_listener *listener;
    skua_address address;
    char name[64]; /* of this process alone: others may run the same test */
    snprintf(name, sizeof name, "unix:@skua-test-fd-passing-%ld", (long)getpid());
    CHECK_OK(skua_stream_pair(pair, NULL));
    for (int i = 0; i < 2; i++) {
        check_peer(pair[i]);
        skua_stream_close(pair[i]);
    }
    CHECK_OK(skua_listen(&listener, name, NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(skua_connect_to(&pair[0], &address, NULL));
    CHECK_OK(skua_accept(listener, &pair[1], NULL));
    for (int i = 0; i < 2; i++) {
        check_peer(pair[i]);
        skua_stream_close(pair[i]);
    }
    skua_listener_close(listener);
    return 0;
}
TEST(who_the_peer_is) { run_for_real(peers); }

/* ---- plain threads ---------------------------------------------------------------------------------------------- */

static void *sends_in_a_thread(void *arg)
{
    CHECK_OK(sends_many(arg));
    return NULL;
}
static int with_threads(void *arg)
{
    (void)arg;
    skua_stream *pair[2];
    pthread_t thread;
    CHECK_OK(skua_stream_pair(pair, NULL));
    CHECK_EQ(pthread_create(&thread, NULL, sends_in_a_thread, pair[0]), 0);
    for (int i = 0; i < MESSAGES; i++) {
        int fd;
        size_t count;
        char byte;
        CHECK_EQ(skua_receive_fds(pair[1], &byte, 1, &fd, 1, &count), 1);
        CHECK_EQ(count, 1);
        check_number(fd, i);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return 0;
}
TEST(plain_threads_send_them) { run_for_real(with_threads); }
