/* Static files.
 *
 * No name leads out of the root: the kernel sees to it (openat2(2) with RESOLVE_BENEATH), so a symbolic link may lead
 * to something below the root and nowhere else; where there is no such call links are not followed at all.
 *
 * No worker waits for a disk. What the caches of the kernel have is taken from there at once (RESOLVE_CACHED,
 * RWF_NOWAIT); only what they do not have costs the hand-over to a thread for blocking calls. Large files are sent by
 * sendfile(2) on such a thread, as much as the socket takes at a time.
 */
#define _GNU_SOURCE
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

enum { NAME_SIZE = 1024 }; /* with its terminator */
enum { SMALL_FILE = 1 << 15, SEND_PIECE = 1 << 20, MEMORY_PIECE = 1 << 13 };
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY }; /* a fifo without a writer must not wait */

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes the percent-encoding. Returns 0; -EINVAL: it is none, or hides a zero or a slash; -ENAMETOOLONG. */
static int decode(char name[NAME_SIZE], const char *text, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < length ? hex(text[i + 1]) : -1, low = i + 2 < length ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            if (c == '\0' || c == '/')
                return -EINVAL;
            i += 2;
        }
        if (used + 1 >= NAME_SIZE)
            return -ENAMETOOLONG;
        name[used++] = c;
    }
    name[used] = '\0';
    return 0;
}

/* A relative name without empty or dotted components but at its end, where an empty one stands for index.html. */
static int make_plain(char name[NAME_SIZE])
{
    static const char index[] = "index.html";
    for (const char *at = name;;) {
        size_t length = strcspn(at, "/");
        bool is_last = at[length] == '\0';
        if ((length == 0 && !is_last) || (length == 1 && at[0] == '.') || (length == 2 && memcmp(at, "..", 2) == 0))
            return -ENOENT;
        if (is_last && length > 0)
            return 0;
        if (is_last) {
            if ((size_t)(at - name) + sizeof index > NAME_SIZE)
                return -ENAMETOOLONG;
            memcpy(name + (at - name), index, sizeof index);
            return 0;
        }
        at += length + 1;
    }
}

static const char *type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        { "html", "text/html; charset=utf-8" },  { "htm", "text/html; charset=utf-8" },
        { "css", "text/css; charset=utf-8" },    { "js", "text/javascript; charset=utf-8" },
        { "mjs", "text/javascript; charset=utf-8" }, { "json", "application/json" },
        { "txt", "text/plain; charset=utf-8" },  { "md", "text/markdown; charset=utf-8" },
        { "xml", "application/xml" },            { "svg", "image/svg+xml" },
        { "png", "image/png" },                  { "jpg", "image/jpeg" },
        { "jpeg", "image/jpeg" },                { "gif", "image/gif" },
        { "webp", "image/webp" },                { "ico", "image/x-icon" },
        { "pdf", "application/pdf" },            { "wasm", "application/wasm" },
        { "woff2", "font/woff2" },               { "mp4", "video/mp4" },
        { "gz", "application/gzip" },            { "zip", "application/zip" },
    };
    const char *dot = strrchr(name, '.');
    if (dot != NULL && strchr(dot, '/') == NULL)
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (strcasecmp(dot + 1, types[i].ending) == 0)
                return types[i].type;
    return "application/octet-stream";
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

struct opening {
    int root;
    const char *name;
};

static int open_beneath(int root, const char *name, uint64_t more)
{
    struct open_how how = { .flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more };
    int fd = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
    return fd < 0 ? -skua_errno() : fd;
}

/* Without the kernel's help: one component after the other, and no links. */
static int open_by_components(int root, const char *name)
{
    char part[NAME_SIZE];
    int at = root;
    for (;;) {
        size_t length = strcspn(name, "/");
        bool is_last = name[length] == '\0';
        memcpy(part, name, length);
        part[length] = '\0';
        int fd = openat(at, part, OPEN_FLAGS | O_NOFOLLOW | (is_last ? 0 : O_DIRECTORY));
        int error = fd < 0 ? -skua_errno() : 0;
        if (at != root)
            (void)close(at);
        if (error < 0 || is_last)
            return error < 0 ? error : fd;
        at = fd;
        name += length + 1;
    }
}

/* On a thread for blocking calls. */
static int64_t open_blocking(void *arg)
{
    const struct opening *opening = arg;
    int fd = open_beneath(opening->root, opening->name, 0);
    return fd == -ENOSYS || fd == -EPERM ? open_by_components(opening->root, opening->name) : fd;
}

static int open_file(int root, const char *name)
{
    struct opening opening = { root, name };
    int fd = open_beneath(root, name, RESOLVE_CACHED);
    if (fd == -EAGAIN || fd == -EINVAL || fd == -ENOSYS || fd == -EPERM) /* not cached, or the kernel is older */
        fd = (int)skua_blocking(open_blocking, &opening);
    return fd;
}

static int refuse_open(struct connection *c, int error)
{
    switch (error) {
    case -EACCES:
        return connection_refuse(c, 403, NULL);
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -EAGAIN:
        return connection_refuse(c, 503, NULL);
    case -ECANCELED:
        return error;
    default: /* it is not there, or not below the root */
        return connection_refuse(c, 404, NULL);
    }
}

/* ---- what is asked of it ----------------------------------------------------------------------------------------- */

struct file {
    int fd;
    time_t modified;
    uint64_t size;
    uint64_t begin, end; /* what is sent of it */
};

static bool date_of(const struct connection *c, enum header header, time_t *instant)
{
    const struct slice *value = &c->request.values[header];
    return request_has(&c->request, header) && date_parse(c->request.base + value->at, value->length, instant);
}

/* "bytes=first-last", "bytes=first-", "bytes=-last so many". Returns 206; 416; or 200: the header does not count, as
 * when several ranges are asked for. */
static int range_of(const struct connection *c, struct file *file)
{
    char text[64];
    uint64_t first, last;
    time_t instant;
    int used = 0;
    const struct slice *value = &c->request.values[HEADER_RANGE];
    if (!request_has(&c->request, HEADER_RANGE) || value->length >= sizeof text)
        return 200;
    if (request_has(&c->request, HEADER_IF_RANGE) &&
        (!date_of(c, HEADER_IF_RANGE, &instant) || instant != file->modified))
        return 200;
    memcpy(text, c->request.base + value->at, value->length);
    text[value->length] = '\0';
    if (strspn(text, "bytes=0123456789- ") != value->length || strncmp(text, "bytes=", 6) != 0 || strlen(text) > 45)
        return 200;
    if (sscanf(text, "bytes=-%19" SCNu64 "%n", &last, &used) == 1 && text[used] == '\0') {
        if (last == 0 || file->size == 0)
            return 416;
        file->begin = last < file->size ? file->size - last : 0;
        return 206;
    }
    int count = sscanf(text, "bytes=%19" SCNu64 "-%n", &first, &used);
    if (count != 1 || used == 0)
        return 200;
    last = UINT64_MAX - 1;
    bool is_open = text[used] == '\0';
    if (!is_open && (sscanf(text + used, "%19" SCNu64 "%n", &last, &count) != 1 || text[used + count] != '\0' ||
                     last < first))
        return 200;
    if (first >= file->size)
        return 416;
    file->begin = first;
    file->end = last + 1 < file->size ? last + 1 : file->size;
    return 206;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Reads so many bytes into memory. Returns 0; -EIO: the file has become shorter; or an error. */
static int read_at(int fd, char *to, size_t size, uint64_t offset)
{
    struct iovec vector = { to, size };
    ssize_t n = preadv2(fd, &vector, 1, (off_t)offset, RWF_NOWAIT);
    size_t got = n > 0 ? (size_t)n : 0;
    if (got < size) {
        n = skua_file_read_at(fd, to + got, size - got, (int64_t)(offset + got));
        if (n < 0)
            return (int)n;
        got += (size_t)n;
    }
    return got == size ? 0 : -EIO;
}

struct sending {
    int to, from;
    off_t offset;
    size_t size;
};

static int64_t send_blocking(void *arg)
{
    struct sending *sending = arg;
    ssize_t n = sendfile(sending->to, sending->from, &sending->offset, sending->size);
    return n < 0 ? -skua_errno() : n;
}

/* When the socket is full, some bytes are sent by way of memory: that waits for room, and does so again and again until
 * it has gone, and sendfile() is worth another try. */
static int send_large(struct connection *c, struct file *file)
{
    int rc = 0;
    while (rc == 0 && file->begin < file->end) {
        uint64_t left = file->end - file->begin;
        struct sending sending = { skua_stream_fd(c->stream), file->fd, (off_t)file->begin,
                                   left < SEND_PIECE ? (size_t)left : SEND_PIECE };
        keeper_mark(&c->server->keeper, &c->kept, STAGE_WRITE);
        int64_t n = sending.to >= 0 ? skua_blocking(send_blocking, &sending) : -EAGAIN;
        if (n == 0)
            return -EIO; /* cut short: what was promised cannot be sent */
        if (n < 0 && n != -EAGAIN && n != -EINTR)
            return (int)n;
        file->begin += n > 0 ? (uint64_t)n : 0;
        if (n == -EAGAIN) {
            size_t size = left < MEMORY_PIECE ? (size_t)left : MEMORY_PIECE;
            char *to = output_reserve(&c->out, size);
            rc = to != NULL ? read_at(file->fd, to, size, file->begin) : -ENOMEM;
            c->out.used += rc == 0 ? size : 0;
            file->begin += size;
            rc = rc == 0 ? connection_flush(c) : rc;
        }
    }
    return rc;
}

static int send_file(struct connection *c, struct file *file)
{
    uint64_t size = file->end - file->begin;
    if (size > SMALL_FILE) {
        int rc = connection_flush(c);
        return rc < 0 ? rc : send_large(c, file);
    }
    char *to = output_reserve(&c->out, (size_t)size);
    int rc = to != NULL ? read_at(file->fd, to, (size_t)size, file->begin) : -ENOMEM;
    c->out.used += rc == 0 ? (size_t)size : 0;
    return rc;
}

/* A directory's name lacks its slash: relative links in its index would lead elsewhere. */
static int redirect(struct connection *c)
{
    char headers[NAME_SIZE + 32];
    const char *target = c->request.base + c->request.target.at;
    const char *query = memchr(target, '?', c->request.target.length);
    size_t length = query != NULL ? (size_t)(query - target) : c->request.target.length;
    if (length > NAME_SIZE)
        return connection_refuse(c, 404, NULL);
    (void)snprintf(headers, sizeof headers, "Location: %.*s/\r\n", (int)length, target);
    return connection_refuse(c, 301, headers);
}

static int answer_open(struct connection *c, struct file *file, const char *name)
{
    char headers[256], date[DATE_LENGTH];
    time_t since;
    date_format(file->modified, date);
    int used = snprintf(headers, sizeof headers, "Last-Modified: %.*s\r\nAccept-Ranges: bytes\r\n", DATE_LENGTH, date);
    if (date_of(c, HEADER_IF_MODIFIED_SINCE, &since) && file->modified <= since) {
        struct answer unchanged = { .status = 304, .headers = headers };
        return connection_head(c, &unchanged);
    }
    int status = range_of(c, file);
    if (status == 416) {
        (void)snprintf(headers, sizeof headers, "Content-Range: bytes */%" PRIu64 "\r\n", file->size);
        return connection_refuse(c, 416, headers);
    }
    if (status == 206)
        (void)snprintf(headers + used, sizeof headers - (size_t)used,
                       "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", file->begin, file->end - 1,
                       file->size);
    struct answer answer = {
        .status = status, .has_length = true, .length = file->end - file->begin, .type = type_of(name),
        .headers = headers
    };
    int rc = connection_head(c, &answer);
    return rc < 0 || c->head_only ? rc : send_file(c, file);
}

int files_answer(struct connection *c, const char *text, size_t length)
{
    char name[NAME_SIZE];
    struct stat info;
    int root = c->server->root, rc = decode(name, text, length);
    if (rc == 0)
        rc = root >= 0 ? make_plain(name) : -ENOENT;
    if (rc == -EINVAL)
        return connection_refuse(c, 400, NULL);
    if (rc < 0)
        return connection_refuse(c, 404, NULL);
    struct file file = { .fd = open_file(root, name) };
    if (file.fd < 0)
        return refuse_open(c, file.fd);
    if (fstat(file.fd, &info) != 0) {
        rc = connection_refuse(c, 500, NULL);
    } else if (S_ISDIR(info.st_mode)) {
        rc = redirect(c);
    } else if (!S_ISREG(info.st_mode)) {
        rc = connection_refuse(c, 403, NULL);
    } else {
        file.modified = info.st_mtime;
        file.size = file.end = (uint64_t)info.st_size;
        rc = answer_open(c, &file, name);
    }
    (void)close(file.fd); /* was only read: nothing has to be waited for */
    return rc;
}
