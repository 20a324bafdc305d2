/* A pipeline with back-pressure: lines of numbers go in, the sum of each comes out.
 *
 *     read ──▶ [texts] ──▶ add ×N ──▶ [sums] ──▶ write
 *
 *     skua-pipeline [--adders N] [--capacity N] [--unordered] <in >out
 *
 * A stage is a fiber, or several; between stages there are bounded channels. So if who reads our output is slow, the
 * writer waits, the sums pile up to their channel's capacity, the adders wait, the texts pile up, and the reader does
 * not read: memory is bounded however long the input is. To give lines in their order the writer keeps those that came
 * too early, and a semaphore says how many lines there may be from reading to writing, so that there is a place for
 * each.
 *
 * The end goes down the pipeline: the reader closes its channel, and the last of the adders the next one. A failure
 * goes everywhere: all are members of a group, so if one fails the others' waits return -ECANCELED. A line belongs to
 * who holds it: who receives it, sends it on or frees it; what lies in the channels at the end is freed there.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skua.h>

enum { LINE_MAX_BYTES = 16 * 1024, OUT_BYTES = 4096, SUM_MAX_BYTES = 32 };

struct line {
    uint64_t number;
    int64_t sum;
    char text[];
};
SKUA_CHANNEL_DEFINE(lines, struct line *);

static struct {
    unsigned long adders, capacity;
    int unordered;
} options = { 4, 16, 0 };

static struct {
    lines texts, sums;
    size_t places; /* for lines from reading to writing */
    skua_semaphore free_places;
    _Atomic unsigned long adders_left;
    _Atomic size_t most_texts, most_sums;
} pipeline;

/* For the report at the end: how full a channel was seen to be. */
static void note_length(_Atomic size_t *most, lines channel)
{
    size_t length = skua_channel_length(channel.channel), before = *most;
    while (length > before && !atomic_compare_exchange_weak(most, &before, length))
        ;
}

/* A descriptor of ours as a stream. Its file is shared with others, so it must not stay non-blocking. */
static int open_stream(skua_stream **stream, int fd, int *flags)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    *flags = fcntl(fd, F_GETFL);
    if (own < 0 || *flags < 0)
        return -EBADF;
    int rc = skua_stream_open(stream, NULL, own);
    if (rc < 0)
        close(own);
    return rc;
}

static void close_stream(skua_stream *stream, int fd, int flags)
{
    skua_stream_close(stream);
    (void)fcntl(fd, F_SETFL, flags);
}

/* ---- the stages -------------------------------------------------------------------------------------------------- */

static int read_lines(skua_reader *in)
{
    char *text;
    ssize_t n = 0;
    int rc = 0;
    for (uint64_t number = 0; rc == 0 && (n = skua_read_line(in, &text)) > 0; number++) {
        struct line *line = malloc(sizeof *line + (size_t)n + 1);
        if (line == NULL)
            return -ENOMEM;
        *line = (struct line){ .number = number };
        memcpy(line->text, text, (size_t)n);
        line->text[n] = '\0';
        rc = skua_semaphore_acquire(&pipeline.free_places, 1);
        if (rc == 0)
            rc = SKUA_SEND_OWNED(pipeline.texts, line); /* `line` is NULL then */
        note_length(&pipeline.most_texts, pipeline.texts);
        free(line);
    }
    return rc < 0 ? rc : (int)n;
}

static int reader(void *arg)
{
    char *buffer = malloc(LINE_MAX_BYTES);
    skua_stream *stream;
    skua_reader in;
    int flags, rc = buffer != NULL ? open_stream(&stream, STDIN_FILENO, &flags) : -ENOMEM;
    (void)arg;
    if (rc == 0) {
        skua_reader_init(&in, stream, buffer, LINE_MAX_BYTES);
        rc = read_lines(&in);
        close_stream(stream, STDIN_FILENO, flags);
    }
    free(buffer);
    if (rc == 0)
        lines_close(pipeline.texts);
    return rc;
}

static int add(struct line *line)
{
    for (char *at = line->text; *at != '\0';) {
        char *end;
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        errno = 0;
        long long number = strtoll(at, &end, 10);
        if (end == at || (*end != '\0' && !isspace((unsigned char)*end)) || errno != 0 ||
            __builtin_add_overflow(line->sum, number, &line->sum)) {
            fprintf(stderr, "skua-pipeline: line %llu: no sum of numbers\n", (unsigned long long)line->number + 1);
            return -EINVAL;
        }
        at = end;
    }
    return 0;
}

static int adder(void *arg)
{
    struct line *line;
    int rc;
    (void)arg;
    while ((rc = SKUA_RECEIVE(pipeline.texts, &line)) == 1) {
        rc = add(line);
        if (rc == 0)
            rc = SKUA_SEND_OWNED(pipeline.sums, line);
        note_length(&pipeline.most_sums, pipeline.sums);
        free(line);
        if (rc < 0)
            return rc;
    }
    if (rc == 0 && atomic_fetch_sub(&pipeline.adders_left, 1) == 1)
        lines_close(pipeline.sums);
    return rc;
}

struct output {
    skua_stream *stream;
    size_t used;
    char bytes[OUT_BYTES];
};

static int flush(struct output *out)
{
    ssize_t n = skua_write_all(out->stream, out->bytes, out->used);
    out->used = 0;
    return n < 0 ? (int)n : 0;
}

static int put(struct output *out, struct line *line)
{
    int rc = OUT_BYTES - out->used < SUM_MAX_BYTES ? flush(out) : 0;
    out->used += (size_t)snprintf(out->bytes + out->used, SUM_MAX_BYTES, "%lld\n", (long long)line->sum);
    free(line);
    skua_semaphore_release(&pipeline.free_places, 1);
    return rc;
}

/* Writes what there is before it waits for more. */
static int write_lines(struct output *out, struct line **early)
{
    struct line *line;
    uint64_t next = 0;
    int rc;
    for (;;) {
        rc = SKUA_TRY_RECEIVE(pipeline.sums, &line);
        if (rc == -EAGAIN && (rc = flush(out)) == 0)
            rc = SKUA_RECEIVE(pipeline.sums, &line);
        if (rc != 1)
            return rc < 0 ? rc : flush(out);
        early[(options.unordered ? next : line->number) % pipeline.places] = line;
        for (struct line **at; *(at = &early[next % pipeline.places]) != NULL; next++) {
            rc = put(out, *at);
            *at = NULL;
            if (rc < 0)
                return rc;
        }
    }
}

static int writer(void *arg)
{
    struct line **early = calloc(pipeline.places, sizeof *early);
    struct output out = { .used = 0 };
    int flags, rc = early != NULL ? open_stream(&out.stream, STDOUT_FILENO, &flags) : -ENOMEM;
    (void)arg;
    if (rc == 0) {
        rc = write_lines(&out, early);
        close_stream(out.stream, STDOUT_FILENO, flags);
    }
    for (size_t i = 0; early != NULL && i < pipeline.places; i++)
        free(early[i]);
    free(early);
    return rc;
}

/* ---- the pipeline ------------------------------------------------------------------------------------------------ */

static int run_stages(void)
{
    SKUA_GROUP(stages);
    int rc = skua_group_go(&stages, writer, NULL);
    for (unsigned long i = 0; rc == 0 && i < options.adders; i++)
        rc = skua_group_go(&stages, adder, NULL);
    if (rc == 0)
        rc = skua_group_go(&stages, reader, NULL);
    return rc < 0 ? rc : (int)skua_group_wait(&stages);
}

static void drain(lines channel)
{
    struct line *line;
    while (SKUA_TRY_RECEIVE(channel, &line) == 1)
        free(line);
    (void)lines_destroy(channel);
}

static int run(void *arg)
{
    (void)arg;
    int rc = lines_create(&pipeline.texts, options.capacity);
    if (rc == 0 && (rc = lines_create(&pipeline.sums, options.capacity)) < 0)
        (void)lines_destroy(pipeline.texts);
    if (rc < 0)
        return rc;
    pipeline.places = 2 * options.capacity + options.adders + 1; /* so that both can be full */
    pipeline.adders_left = options.adders;
    skua_semaphore_init(&pipeline.free_places, pipeline.places);
    rc = run_stages();
    drain(pipeline.texts);
    drain(pipeline.sums);
    fprintf(stderr, "at most %zu texts and %zu sums were seen to wait, of %lu each\n", pipeline.most_texts,
            pipeline.most_sums, options.capacity);
    if (rc < 0)
        fprintf(stderr, "skua-pipeline: %s\n", skua_strerror(rc));
    return rc < 0;
}

int main(int argc, char **argv)
{
    static const struct option known[] = { { "adders", required_argument, NULL, 'a' },
                                           { "capacity", required_argument, NULL, 'c' },
                                           { "unordered", no_argument, &options.unordered, 1 },
                                           { NULL, 0, NULL, 0 } };
    for (int option; (option = getopt_long(argc, argv, "a:c:", known, NULL)) != -1;)
        if (option != 0)
            *(option == 'c' ? &options.capacity : &options.adders) = option != '?' ? strtoul(optarg, NULL, 10) : 0;
    if (options.adders - 1 >= 10000 || options.capacity - 1 >= 1000000 || optind != argc) {
        fprintf(stderr, "usage: skua-pipeline [--adders N] [--capacity N] [--unordered] <in >out\n");
        return 2;
    }
    return skua_main(run, NULL);
}
