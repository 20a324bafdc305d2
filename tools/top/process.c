/* See process.h. */
#define _GNU_SOURCE
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PROTOCOL = 1, PATIENCE_MS = 5000, PATH_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path), LISTED_MAX = 32 };

static void say(const char *what, const char *why) { fprintf(stderr, "skua-top: %s: %s\n", what, why); }

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* The directories in which runtimes of a user listen by themselves, the likeliest first. False: no such. */
static bool directory_of(unsigned long user, int which, char directory[PATH_BYTES])
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    int length = -1;
    if (which == 0 && run != NULL && run[0] == '/')
        length = snprintf(directory, PATH_BYTES, "%s/skua", run);
    else if (which == 1)
        length = snprintf(directory, PATH_BYTES, "/run/user/%lu/skua", user);
    else if (which == 2)
        length = snprintf(directory, PATH_BYTES, "/tmp/skua-%lu", user);
    return length > 0 && length < PATH_BYTES;
}
enum { DIRECTORIES = 3 };

/* The path of a process that listens by its number. */
static bool find_by_number(const char *number, char path[PATH_BYTES])
{
    char file[64], directory[PATH_BYTES];
    struct stat info;
    snprintf(file, sizeof file, "/proc/%.20s", number);
    if (stat(file, &info) != 0) {
        say(number, "there is no such process");
        return false;
    }
    for (int which = 0; which < DIRECTORIES; which++)
        if (directory_of(info.st_uid, which, directory) &&
            snprintf(path, PATH_BYTES, "%s/%.20s.sock", directory, number) < PATH_BYTES && access(path, F_OK) == 0)
            return true;
    say(number, "this process cannot be looked into: start it with SKUA_MONITOR=1, or give the socket's path");
    return false;
}

static int connect_to(const char *path);

struct found {
    int count;
    char paths[LISTED_MAX][PATH_BYTES];
};

static void add_those_in(const char *directory, struct found *found)
{
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL && found->count < LISTED_MAX;) {
        char *path = found->paths[found->count];
        const char *end = strrchr(entry->d_name, '.');
        if (end == NULL || strcmp(end, ".sock") != 0 ||
            snprintf(path, PATH_BYTES, "%s/%s", directory, entry->d_name) >= PATH_BYTES)
            continue;
        int fd = connect_to(path); /* those of dead processes lie around, too */
        if (fd < 0)
            continue;
        close(fd);
        found->count++;
    }
    closedir(entries);
}

static bool find_the_only(char path[PATH_BYTES])
{
    struct found found = { .count = 0 };
    char directory[PATH_BYTES], seen[PATH_BYTES] = "";
    for (int which = 0; which < DIRECTORIES; which++)
        if (directory_of(geteuid(), which, directory) && strcmp(directory, seen) != 0) {
            add_those_in(directory, &found);
            memcpy(seen, directory, sizeof seen); /* the first two are often the same */
        }
    if (found.count == 1)
        memcpy(path, found.paths[0], PATH_BYTES);
    else if (found.count == 0)
        fprintf(stderr, "skua-top: no process of yours can be looked into: start one with SKUA_MONITOR=1\n");
    else
        fprintf(stderr, "skua-top: which one?\n");
    for (int i = 0; found.count > 1 && i < found.count; i++)
        fprintf(stderr, "    skua-top %s\n", found.paths[i]);
    return found.count == 1;
}

static bool find(const char *target, char path[PATH_BYTES])
{
    if (target == NULL)
        return find_the_only(path);
    if (target[0] != '\0' && target[strspn(target, "0123456789")] == '\0')
        return find_by_number(target, path);
    if (strlen(target) >= PATH_BYTES) {
        say(target, "the path is too long");
        return false;
    }
    memcpy(path, target, strlen(target) + 1);
    return true;
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

/* Returns a descriptor or a negative errno value. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return -error;
}

/* Who listens there must be the user, or root, unless root asks: what is shown would be anybody's invention. */
static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return geteuid() == 0 || (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                              (peer.uid == geteuid() || peer.uid == 0));
}

static void read_name(struct process *process)
{
    char file[64];
    snprintf(process->name, sizeof process->name, "?");
    snprintf(file, sizeof file, "/proc/%ld/comm", process->pid);
    FILE *comm = fopen(file, "re");
    if (comm == NULL)
        return;
    if (fgets(process->name, sizeof process->name, comm) != NULL)
        process->name[strcspn(process->name, "\n")] = '\0';
    fclose(comm);
    for (char *at = process->name; *at != '\0'; at++)
        if (*at < ' ' || *at > '~') /* it goes to a terminal */
            *at = '?';
}

static bool take_greeting(struct process *process, const char *path)
{
    int protocol;
    const char *line = process_wait_line(process);
    if (line == NULL || strncmp(line, "error", 5) == 0) {
        say(path, line != NULL ? line : "it does not answer");
        return false;
    }
    if (sscanf(line, "skua-monitor %d version=%31[0-9.] pid=%ld", &protocol, process->version, &process->pid) != 3) {
        say(path, "this is no process of Skua");
        return false;
    }
    if (protocol != PROTOCOL) {
        fprintf(stderr, "skua-top: %s: it speaks version %d of the protocol, and this program %d\n", path, protocol,
                PROTOCOL);
        return false;
    }
    read_name(process);
    return true;
}

bool process_open(struct process *process, const char *target)
{
    char path[PATH_BYTES];
    *process = (struct process){ .fd = -1 };
    if (!find(target, path))
        return false;
    process->fd = connect_to(path);
    if (process->fd == -ECONNREFUSED)
        say(path, "nobody listens there any more");
    else if (process->fd < 0)
        say(path, strerror(-process->fd));
    else if (!is_trusted(process->fd))
        say(path, "somebody else listens there");
    else if (take_greeting(process, path))
        return true;
    process_close(process);
    return false;
}

void process_close(struct process *process)
{
    if (process->fd >= 0)
        close(process->fd);
    free(process->input);
    *process = (struct process){ .fd = -1 };
}

/* ---- talking ----------------------------------------------------------------------------------------------------- */

bool process_ask(struct process *process)
{
    static const char request[] = "stats\n";
    return send(process->fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1; /* it always has room */
}

bool process_read(struct process *process)
{
    if (process->room - process->length < 4096) {
        size_t room = process->room + 16384;
        char *input = realloc(process->input, room);
        if (input == NULL)
            return false;
        process->input = input;
        process->room = room;
    }
    ssize_t n = recv(process->fd, process->input + process->length, process->room - process->length, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    process->length += (size_t)n;
    return n > 0;
}

/* The line is moved behind the rest, so that it stays while the rest is whole. */
const char *process_line(struct process *process)
{
    static char line[4096]; /* longer than any; what is longer is cut */
    const char *end = process->length > 0 ? memchr(process->input, '\n', process->length) : NULL;
    if (end == NULL)
        return NULL;
    size_t length = (size_t)(end - process->input), kept = length < sizeof line ? length : sizeof line - 1;
    memcpy(line, process->input, kept);
    line[kept] = '\0';
    process->length -= length + 1;
    memmove(process->input, end + 1, process->length);
    return line;
}

const char *process_wait_line(struct process *process)
{
    const char *line;
    while ((line = process_line(process)) == NULL) {
        struct pollfd polled = { .fd = process->fd, .events = POLLIN };
        int rc = poll(&polled, 1, PATIENCE_MS);
        if (rc == 0 || (rc < 0 && errno != EINTR) || (rc > 0 && !process_read(process)))
            return NULL;
    }
    return line;
}

void process_say_ended(const struct process *process)
{
    char file[64];
    snprintf(file, sizeof file, "/proc/%ld", process->pid);
    fprintf(stderr, "skua-top: process %ld (%s) %s\n", process->pid, process->name,
            access(file, F_OK) == 0 ? "cannot be looked into any more: its runtime has ended, or it is about to"
                                    : "has ended");
}
