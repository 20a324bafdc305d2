/* See cgroup.h. Formats: proc(5), cgroups(7), and the kernel's admin-guide/cgroup-v2.rst. */
#define _GNU_SOURCE
#include "sched/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)16 << 20) /* a mountinfo of 100,000 mounts fits; what is longer is cut off there */
#define SMALL_FILE_BYTES 128u             /* a limit file holds two numbers */
#define DEFAULT_PERIOD_US 100000u         /* the kernel's, where a file leaves the period out */

struct span {
    const char *at;
    size_t len;
};

static struct span span_of(const char *text)
{
    return (struct span){ text, strlen(text) };
}

static bool span_is(struct span span, struct span other)
{
    return span.len == other.len && (span.len == 0 || memcmp(span.at, other.at, span.len) == 0);
}

/* Cuts the text before the next `separator` off *rest and the separator with it; the last piece ends with the text.
 * False: nothing was left. */
static bool span_cut(struct span *rest, char separator, struct span *piece)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->at, separator, rest->len);
    piece->at = rest->at;
    piece->len = end ? (size_t)(end - rest->at) : rest->len;
    size_t used = piece->len + (end ? 1 : 0);
    rest->at += used;
    rest->len -= used;
    return true;
}

/* Is `word` one of the items of a comma-separated list? */
static bool list_has(struct span list, const char *word)
{
    struct span item;
    while (span_cut(&list, ',', &item)) {
        if (span_is(item, span_of(word)))
            return true;
    }
    return false;
}

/* --- Limits --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Takes the next blank-separated word off *rest; it is empty at the end of the text. */
static struct span next_word(struct span *rest)
{
    while (rest->len > 0 && is_blank(*rest->at)) {
        rest->at++;
        rest->len--;
    }
    struct span word = { rest->at, 0 };
    while (rest->len > 0 && !is_blank(*rest->at)) {
        rest->at++;
        rest->len--;
        word.len++;
    }
    return word;
}

/* A plain decimal number above zero; what does not fit in 64 bits is the greatest that does. Anything else: false. */
static bool parse_positive(struct span word, uint64_t *value)
{
    uint64_t v = 0;
    if (word.len == 0)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(word.at[i] - '0');
        v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
    }
    *value = v;
    return v > 0;
}

/* Rounded up, so that rounding up again to whole processors gives the exact quota's. Too great to say: no limit. */
static bool limit_of(uint64_t quota_us, uint64_t period_us, uint32_t *millicpus)
{
    if (quota_us > UINT64_MAX / 1000)
        return false;
    uint64_t milli = quota_us * 1000 / period_us + (quota_us * 1000 % period_us != 0);
    if (milli >= SKUAI_CGROUP_NO_QUOTA)
        return false;
    *millicpus = (uint32_t)milli;
    return true;
}

bool skuai_cgroup_parse_max(const char *text, size_t len, uint32_t *millicpus)
{
    struct span rest = { text, len };
    uint64_t quota;
    uint64_t period = DEFAULT_PERIOD_US;
    if (!parse_positive(next_word(&rest), &quota)) /* "max" ends here too */
        return false;
    struct span word = next_word(&rest);
    if (word.len > 0 && !parse_positive(word, &period))
        return false;
    return limit_of(quota, period, millicpus);
}

bool skuai_cgroup_parse_cfs(const char *quota, size_t quota_len, const char *period, size_t period_len,
                            uint32_t *millicpus)
{
    struct span quota_rest = { quota, quota_len };
    struct span period_rest = { period, period_len };
    uint64_t quota_us;
    uint64_t period_us;
    if (!parse_positive(next_word(&quota_rest), &quota_us) || !parse_positive(next_word(&period_rest), &period_us))
        return false;
    return limit_of(quota_us, period_us, millicpus);
}

uint32_t skuai_cgroup_workers(uint32_t millicpus)
{
    if (millicpus == SKUAI_CGROUP_NO_QUOTA)
        return UINT32_MAX;
    uint32_t whole = millicpus / 1000 + (millicpus % 1000 != 0);
    return whole > 0 ? whole : 1;
}

/* --- G1: where the process is --- */

/* The path in the hierarchy of version 2 (line "0::path") or of version 1's cpu controller ("4:cpu,cpuacct:path").
 * Only the first two colons separate: a group's name may hold more. */
static bool find_group(struct span groups, int version, struct span *path)
{
    struct span line;
    while (span_cut(&groups, '\n', &line)) {
        struct span id;
        struct span controllers;
        if (!span_cut(&line, ':', &id) || !span_cut(&line, ':', &controllers))
            continue;
        if (line.len == 0 || line.at[0] != '/')
            continue;
        bool is_v2 = span_is(id, span_of("0")) && controllers.len == 0;
        if (version == 2 ? is_v2 : list_has(controllers, "cpu")) {
            *path = line;
            return true;
        }
    }
    return false;
}

/* --- G2: where that can be seen --- */

struct mount {
    struct span id, parent, root, point, type, options;
};

/* "36 35 98:0 /root /mount/point rw,noatime optional:1 fields:2 - type source super,options" */
static bool parse_mount(struct span line, struct mount *mount)
{
    struct span skipped;
    struct span field;
    if (!span_cut(&line, ' ', &mount->id) || !span_cut(&line, ' ', &mount->parent) ||
        !span_cut(&line, ' ', &skipped) || !span_cut(&line, ' ', &mount->root) ||
        !span_cut(&line, ' ', &mount->point) || !span_cut(&line, ' ', &skipped))
        return false;
    do {
        if (!span_cut(&line, ' ', &field))
            return false;
    } while (!span_is(field, span_of("-")));
    return span_cut(&line, ' ', &mount->type) && span_cut(&line, ' ', &skipped) &&
           span_cut(&line, ' ', &mount->options);
}

static bool is_mount_of(const struct mount *mount, int version)
{
    if (version == 2)
        return span_is(mount->type, span_of("cgroup2"));
    return span_is(mount->type, span_of("cgroup")) && list_has(mount->options, "cpu");
}

/* Is another mount stacked on this one, at the same point? Then a path through the point leads into that one. */
static bool is_covered(struct span mounts, const struct mount *mount)
{
    struct span line;
    struct mount other;
    while (span_cut(&mounts, '\n', &line)) {
        if (parse_mount(line, &other) && span_is(other.parent, mount->id) && span_is(other.point, mount->point) &&
            !span_is(other.id, mount->id))
            return true;
    }
    return false;
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* mountinfo writes blank, tab, newline and backslash as \ooo. Returns the length, or 0: too long, not absolute, or a
 * byte that no path holds. */
static size_t unescape(struct span text, char *out, size_t out_size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '\\' && text.len - i > 3 && is_octal(text.at[i + 1]) && is_octal(text.at[i + 2]) &&
            is_octal(text.at[i + 3])) {
            c = (char)(((text.at[i + 1] - '0') << 6 | (text.at[i + 2] - '0') << 3 | (text.at[i + 3] - '0')) & 0xff);
            i += 3;
        }
        if (c == '\0' || n + 1 >= out_size)
            return 0;
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0 && out[0] == '/' ? n : 0;
}

/* Does the path begin with the component ".." (which a cgroup namespace writes for what is above its root)? */
static bool is_above(struct span path)
{
    return path.len >= 3 && memcmp(path.at, "/..", 3) == 0 && (path.len == 3 || path.at[3] == '/');
}

static bool has_dots(struct span path)
{
    struct span part;
    while (span_cut(&path, '/', &part)) {
        if (span_is(part, span_of(".")) || span_is(part, span_of("..")) || memchr(part.at, '\0', part.len))
            return true;
    }
    return false;
}

/* The part of a group's path that is below a mount of `root`; empty: the mount point itself. False: not seen there.
 *
 * Both are as this process's cgroup namespace shows them. A group that is above or beside the namespace's root begins
 * with "/..", and so does the root of a mount made outside. Where the names between the two are hidden in this way the
 * mount's root is still an ancestor, so its limit applies. A path that is simply elsewhere is one that was recorded in
 * another view (a bind mount made by a container manager, a user-space kernel); what such a place mounts is the
 * container's own group, so the mount point is taken, as the JVM does. */
static bool below_root(struct span path, struct span root, struct span *below)
{
    while (is_above(path) && is_above(root)) {
        path = (struct span){ path.at + 3, path.len - 3 };
        root = (struct span){ root.at + 3, root.len - 3 };
    }
    if (is_above(path))
        return false; /* outside what this mount shows: not our group nor an ancestor */
    while (root.len > 0 && root.at[root.len - 1] == '/')
        root.len--;
    *below = (struct span){ path.at, 0 };
    if (path.len < root.len || (root.len > 0 && memcmp(path.at, root.at, root.len) != 0) ||
        (path.len > root.len && path.at[root.len] != '/'))
        return true;
    struct span rest = { path.at + root.len, path.len - root.len };
    if (!has_dots(rest)) /* the kernel writes none; following them would leave the mount */
        *below = rest;
    return true;
}

/* Tells `found` of the group at `path` in this mount, if it is seen there. */
static void report_mount(const struct mount *mount, int version, struct span path, skuai_cgroup_found_fn *found,
                         void *arg)
{
    char root[PATH_MAX];
    char dir[PATH_MAX];
    struct span below;
    size_t root_len = unescape(mount->root, root, sizeof root);
    size_t point_len = unescape(mount->point, dir, sizeof dir);
    if (root_len == 0 || point_len == 0 || !below_root(path, (struct span){ root, root_len }, &below))
        return;
    while (below.len > 0 && below.at[below.len - 1] == '/')
        below.len--;
    if (below.len >= sizeof dir - point_len)
        return; /* longer than any path that could be opened */
    memcpy(dir + point_len, below.at, below.len);
    dir[point_len + below.len] = '\0';
    found(arg, version, dir, point_len);
}

void skuai_cgroup_find(const char *groups, size_t groups_len, const char *mounts, size_t mounts_len,
                       skuai_cgroup_found_fn *found, void *arg)
{
    const struct span all_mounts = { mounts, mounts_len };
    for (int version = 1; version <= 2; version++) {
        struct span path;
        if (!find_group((struct span){ groups, groups_len }, version, &path))
            continue;
        struct span rest = all_mounts;
        struct span line;
        struct mount mount;
        while (span_cut(&rest, '\n', &line)) {
            if (parse_mount(line, &mount) && is_mount_of(&mount, version) && !is_covered(all_mounts, &mount))
                report_mount(&mount, version, path, found, arg);
        }
    }
}

/* --- Files --- */

static int open_in(const char *root, const char *dir, const char *name)
{
    char path[2 * PATH_MAX];
    int len = snprintf(path, sizeof path, "%s%s/%s", root, dir, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Reads until the end, an error or `size` bytes. */
static size_t read_up_to(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, out + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

/* 0: the file is not there. */
static size_t read_small(const char *root, const char *dir, const char *name, char out[SMALL_FILE_BYTES])
{
    int fd = open_in(root, dir, name);
    if (fd < 0)
        return 0;
    size_t len = read_up_to(fd, out, SMALL_FILE_BYTES);
    close(fd);
    return len;
}

/* The whole of a file, for the caller to free. A file that is not there is empty. Returns 0 or -ENOMEM. */
static int read_whole(const char *root, const char *name, char **text, size_t *len)
{
    size_t size = 16384;
    *text = NULL;
    *len = 0;
    int fd = open_in(root, "/proc/self", name);
    if (fd < 0)
        return 0;
    for (;;) {
        char *larger = realloc(*text, size);
        if (!larger) {
            free(*text);
            *text = NULL;
            close(fd);
            return -ENOMEM;
        }
        *text = larger;
        *len += read_up_to(fd, *text + *len, size - *len);
        if (*len < size || size >= FILE_MAX_BYTES)
            break;
        size *= 2;
    }
    close(fd);
    return 0;
}

/* --- G3: the limits on the way up --- */

struct search {
    const char *root;
    uint32_t millicpus; /* the least so far */
};

static bool read_limit(const char *root, int version, const char *dir, uint32_t *millicpus)
{
    char quota[SMALL_FILE_BYTES];
    char period[SMALL_FILE_BYTES];
    size_t len;
    if (version == 2) {
        len = read_small(root, dir, "cpu.max", quota);
        return skuai_cgroup_parse_max(quota, len, millicpus);
    }
    len = read_small(root, dir, "cpu.cfs_quota_us", quota);
    if (len == 0)
        return false;
    size_t period_len = read_small(root, dir, "cpu.cfs_period_us", period);
    return skuai_cgroup_parse_cfs(quota, len, period, period_len, millicpus);
}

/* A level without the file (the controller is not enabled there, the group was removed) limits nothing itself; its
 * ancestors still do. */
static void walk_up(void *arg, int version, char *dir, size_t mount_len)
{
    struct search *search = arg;
    size_t len = strlen(dir);
    for (;;) {
        uint32_t limit;
        if (read_limit(search->root, version, dir, &limit) && limit < search->millicpus)
            search->millicpus = limit;
        if (len <= mount_len)
            return;
        while (len > mount_len && dir[len - 1] != '/')
            len--;
        while (len > mount_len && dir[len - 1] == '/')
            len--;
        dir[len] = '\0';
    }
}

int skuai_cgroup_cpu_quota(const char *root, uint32_t *millicpus)
{
    struct search search = { .root = root, .millicpus = SKUAI_CGROUP_NO_QUOTA };
    char *groups;
    char *mounts;
    size_t groups_len;
    size_t mounts_len;
    *millicpus = SKUAI_CGROUP_NO_QUOTA;
    if (read_whole(root, "cgroup", &groups, &groups_len) < 0)
        return -ENOMEM;
    if (read_whole(root, "mountinfo", &mounts, &mounts_len) < 0) {
        free(groups);
        return -ENOMEM;
    }
    skuai_cgroup_find(groups, groups_len, mounts, mounts_len, walk_up, &search);
    free(mounts);
    free(groups);
    *millicpus = search.millicpus;
    return 0;
}
