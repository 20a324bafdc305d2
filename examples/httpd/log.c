/* The access log: lines in the Common Log Format.
 *
 * Whoever answers never waits for it. Lines gather in a buffer, while the writer, a fiber, has the other one written by
 * a thread for blocking calls; then the two change places. If a disk is slower than the clients, and the buffer is
 * full, lines are dropped and counted, and the log says so itself at that place.
 */
#define _GNU_SOURCE
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, PEER_MAX = 128, REQUEST_MAX = 200 };
#define GATHER_NS (20 * SKUA_MS) /* so that a busy server writes a page and not a line; untuned */

struct log {
    const char *path;
    int fd;
    skua_task *writer;
    skua_notify more;
    _Atomic bool is_closing, is_to_reopen;
    skua_mutex lock;
    char *gathering; /* these three under the lock */
    size_t used;
    uint64_t dropped;
    char *writing;   /* the writer's */
    uint64_t lost;   /* lines: dropped for want of room, in all */
    uint64_t failed; /* bytes that could not be written */
};

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static __attribute__((noinline)) char *append_time(char *to)
{
    static _Thread_local struct {
        time_t second;
        char text[40];
        size_t length;
    } cached;
    time_t now = time(NULL);
    if (now != cached.second) {
        struct tm tm;
        cached.length = strftime(cached.text, sizeof cached.text, " - - [%d/%b/%Y:%H:%M:%S +0000] \"",
                                 gmtime_r(&now, &tm));
        cached.second = now;
    }
    memcpy(to, cached.text, cached.length);
    return to + cached.length;
}

/* What a client sends must not look like something else in a terminal, or like two lines. */
static char *append_escaped(char *to, const char *text, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length && i < REQUEST_MAX; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        *to++ = 'x';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    return to;
}

void log_line(struct log *log, const char *peer, const char *request, size_t length, int status, uint64_t bytes)
{
    char line[PEER_MAX + 4 * REQUEST_MAX + 128]; /* the time, and the numbers */
    size_t peer_length = strnlen(peer, PEER_MAX);
    memcpy(line, peer, peer_length);
    char *to = append_time(line + peer_length);
    to = append_escaped(to, request, length);
    to += snprintf(to, 64, "\" %d %" PRIu64 "\n", status, bytes);
    size_t size = (size_t)(to - line);
    skua_mutex_lock_shielded(&log->lock);
    bool is_first = log->used == 0, has_room = size <= BUFFER - log->used;
    if (has_room) {
        memcpy(log->gathering + log->used, line, size);
        log->used += size;
    } else {
        log->dropped++;
    }
    skua_mutex_unlock(&log->lock);
    if (is_first && has_room)
        skua_notify_one(&log->more);
}

/* ---- the writer ------------------------------------------------------------------------------------------------- */

static int open_file(const char *path)
{
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    return skua_file_open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
}

static void close_file(const struct log *log)
{
    if (log->fd >= 0 && log->fd != STDOUT_FILENO)
        (void)skua_file_close(log->fd);
}

static void write_bytes(struct log *log, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = skua_file_write(log->fd, bytes, size);
        if (n <= 0) {
            log->failed += size;
            return;
        }
        bytes += n;
        size -= (size_t)n;
    }
}

/* Takes what has gathered. */
static size_t change_buffers(struct log *log, uint64_t *dropped)
{
    skua_mutex_lock_shielded(&log->lock);
    char *full = log->gathering;
    size_t size = log->used;
    *dropped = log->dropped;
    log->gathering = log->writing;
    log->writing = full;
    log->used = 0;
    log->dropped = 0;
    skua_mutex_unlock(&log->lock);
    return size;
}

static int write_log(void *arg)
{
    struct log *log = arg;
    for (;;) {
        bool is_closing = atomic_load_explicit(&log->is_closing, memory_order_acquire);
        uint64_t dropped;
        size_t size = change_buffers(log, &dropped);
        if (atomic_exchange_explicit(&log->is_to_reopen, false, memory_order_relaxed)) {
            int fd = open_file(log->path);
            if (fd >= 0) {
                close_file(log);
                log->fd = fd;
            }
        }
        write_bytes(log, log->writing, size);
        if (dropped > 0) {
            char line[64];
            int length = snprintf(line, sizeof line, "# %" PRIu64 " lines dropped\n", dropped);
            write_bytes(log, line, (size_t)length);
            log->lost += dropped;
        }
        if (is_closing)
            return 0; /* and nobody adds any more */
        if (size == 0)
            (void)skua_notify_wait(&log->more);
        else
            (void)skua_sleep(GATHER_NS);
    }
}

int log_open(struct log **result, const char *path)
{
    struct log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return -ENOMEM;
    log->path = path;
    log->gathering = malloc(BUFFER);
    log->writing = malloc(BUFFER);
    log->fd = open_file(path);
    skua_mutex_init(&log->lock);
    skua_notify_init(&log->more);
    int rc = log->gathering == NULL || log->writing == NULL ? -ENOMEM : log->fd < 0 ? log->fd : 0;
    if (rc == 0)
        rc = skua_spawn(&log->writer, write_log, log);
    if (rc == 0) {
        *result = log;
        return 0;
    }
    close_file(log);
    free(log->gathering);
    free(log->writing);
    free(log);
    return rc;
}

void log_reopen(struct log *log)
{
    atomic_store_explicit(&log->is_to_reopen, true, memory_order_relaxed);
    skua_notify_one(&log->more);
}

void log_close(struct log *log)
{
    SKUA_SHIELD();
    atomic_store_explicit(&log->is_closing, true, memory_order_release);
    skua_notify_one(&log->more);
    if (skua_join(log->writer, NULL) < 0)
        return; /* cannot be: then it has all of this still */
    if (log->lost > 0 || log->failed > 0)
        fprintf(stderr, "skua-httpd: log: %" PRIu64 " lines dropped, %" PRIu64 " bytes not written\n", log->lost,
                log->failed);
    close_file(log);
    skua_mutex_fini(&log->lock);
    free(log->gathering);
    free(log->writing);
    free(log);
}
