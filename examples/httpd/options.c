/* The command's arguments. */
#include "examples/httpd/httpd.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct options options_default = {
    .listen = "tcp://127.0.0.1:8080",
    .max_connections = 100000,
    .max_head = 16384,
    .max_body = 1 << 20,
    .idle_ns = 60 * SKUA_S,
    .head_ns = 10 * SKUA_S,
    .body_ns = 10 * SKUA_S,
    .write_ns = 10 * SKUA_S,
    .linger_ns = 2 * SKUA_S,
    .drain_ns = 30 * SKUA_S,
};

static const char usage[] =
    "usage: skua-httpd [OPTION…]\n"
    "Serves HTTP/1.1 until SIGINT or SIGTERM, then answers what it has been asked and ends. SIGHUP: a new log file.\n"
    "\n"
    "  /              a line of text                 /files/NAME   files of --root\n"
    "  /nqueens/N     fork-join, up to 16            /echo         POST: gives the body back\n"
    "  /primes/N      fork-join, up to 2000000000    /stats        the scheduler's counters\n"
    "  /sleep/MS      answers so much later          /metrics      the same for Prometheus\n"
    "\n"
    "  --listen ADDRESS         tcp://127.0.0.1:8080, tcp://[::]:80, unix:/run/x.sock; port 0: a free one\n"
    "  --root DIRECTORY         for /files/\n"
    "  --workers N              one for each processor\n"
    "  --log FILE               access log; - is the standard output\n"
    "  --max-connections N      100000; those that come then get 503\n"
    "  --max-head BYTES         16384 for request line and headers; 431, 414\n"
    "  --max-body BYTES         1048576; 413\n"
    "  --idle-timeout SECONDS   60 between requests          --head-timeout    10 from a head's begin to its end\n"
    "  --body-timeout           10 for each 4 KiB            --write-timeout   10 for each 4 KiB of answers\n"
    "  --linger-timeout         2 for what comes after an error\n"
    "  --drain-timeout          30 for answers under way when it is to end\n"
    "  --hogs N                 tasks that compute all the time in the same workers, for demonstrations\n"
    "  --stats                  at the end, what the scheduler has done\n"
    "  --help\n"
    "Time-outs may be fractions; 0 is none. Sizes and numbers are decimal.\n";

enum option_kind { TEXT, COUNT, SECONDS, FLAG };

struct option_field {
    const char *name;
    enum option_kind kind;
    size_t offset;
};

#define FIELD(name, kind, member) { (name), (kind), offsetof(struct options, member) }
static const struct option_field fields[] = {
    FIELD("listen", TEXT, listen),
    FIELD("root", TEXT, root),
    FIELD("log", TEXT, log),
    FIELD("workers", COUNT, workers),
    FIELD("hogs", COUNT, hogs),
    FIELD("max-connections", COUNT, max_connections),
    FIELD("max-head", COUNT, max_head),
    FIELD("max-body", COUNT, max_body),
    FIELD("idle-timeout", SECONDS, idle_ns),
    FIELD("head-timeout", SECONDS, head_ns),
    FIELD("body-timeout", SECONDS, body_ns),
    FIELD("write-timeout", SECONDS, write_ns),
    FIELD("linger-timeout", SECONDS, linger_ns),
    FIELD("drain-timeout", SECONDS, drain_ns),
    FIELD("stats", FLAG, stats),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static bool set_field(struct options *options, const struct option_field *field, const char *text)
{
    void *to = (char *)options + field->offset;
    char *end = NULL;
    switch (field->kind) {
    case TEXT:
        *(const char **)to = text;
        return true;
    case FLAG:
        *(bool *)to = true;
        return true;
    case COUNT: {
        unsigned long number = strtoul(text, &end, 10);
        *(uint32_t *)to = (uint32_t)number;
        return text[0] >= '0' && text[0] <= '9' && *end == '\0' && number <= INT32_MAX;
    }
    default: {
        double seconds = strtod(text, &end);
        bool is_good = end != text && *end == '\0' && seconds >= 0 && seconds <= 1e6;
        *(uint64_t *)to = is_good ? (uint64_t)(seconds * 1e9) : 0;
        return is_good;
    }
    }
}

int options_parse(struct options *options, int argc, char **argv)
{
    struct option options_of_getopt[FIELDS + 2] = { { .name = NULL } };
    for (int i = 0; i < FIELDS; i++)
        options_of_getopt[i] =
            (struct option){ fields[i].name, fields[i].kind == FLAG ? no_argument : required_argument, NULL, i };
    options_of_getopt[FIELDS] = (struct option){ "help", no_argument, NULL, FIELDS };
    *options = options_default;
    for (int which; (which = getopt_long(argc, argv, "", options_of_getopt, NULL)) != -1;) {
        if (which == FIELDS) {
            fputs(usage, stdout);
            return 0;
        }
        if (which == '?') {
            fputs(usage, stderr);
            return 2;
        }
        if (!set_field(options, &fields[which], optarg)) {
            fprintf(stderr, "skua-httpd: --%s: `%s` is not what it takes\n", fields[which].name, optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "skua-httpd: `%s` is no option\n", argv[optind]);
        return 2;
    }
    if (options->max_head < 256) {
        fprintf(stderr, "skua-httpd: --max-head: at least 256\n");
        return 2;
    }
    return OPTIONS_GO_ON;
}
