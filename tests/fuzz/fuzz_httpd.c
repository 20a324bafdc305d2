/* The example server's input, mutated: whatever comes, nothing breaks, each answer is well-formed, and what a client
 * gets does not depend on how its bytes arrive.
 *
 * A case is some requests, good and bad, one after the other, of which bytes and stretches were changed. It is served
 * three times by the connection's own code, over a stream that lies in memory: in one piece, a byte at a time, and cut
 * anywhere. The three outputs are the same. All of it runs in a simulation, so that sleeping takes no time.
 *
 * FUZZ_FILE=… in the environment: this file's bytes are a case, too, as another fuzzer may have found it.
 */
#define _GNU_SOURCE
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

enum { INPUT_MAX = 8192, OUTPUT_MAX = 1 << 20, MAX_HEAD = 600, MAX_BODY = 700 };

/* ---- a stream in memory ------------------------------------------------------------------------------------------ */

enum cut { WHOLE, SINGLE, ANYWHERE };

struct wire {
    const char *input;
    size_t size, at;
    enum cut cut;
    uint64_t random;
    char *output;
    size_t used;
    bool is_shut, is_released;
};

static size_t piece(struct wire *wire, size_t size)
{
    if (wire->cut == WHOLE || size == 0)
        return size;
    size_t most = wire->cut == SINGLE ? 1 : 1 + test_rand(&wire->random) % 40;
    return most < size ? most : size;
}

static ssize_t wire_read(void *object, const struct iovec *vectors, int count)
{
    struct wire *wire = object;
    (void)count;
    size_t left = wire->size - wire->at, n = piece(wire, left < vectors->iov_len ? left : vectors->iov_len);
    memcpy(vectors->iov_base, wire->input + wire->at, n);
    wire->at += n;
    return (ssize_t)n;
}

static ssize_t wire_write(void *object, const struct iovec *vectors, int count)
{
    struct wire *wire = object;
    (void)count;
    size_t n = piece(wire, vectors->iov_len);
    CHECK(!wire->is_shut);
    CHECK(wire->used + n <= OUTPUT_MAX);
    memcpy(wire->output + wire->used, vectors->iov_base, n);
    wire->used += n;
    return (ssize_t)n;
}

static int wire_shut(void *object)
{
    ((struct wire *)object)->is_shut = true;
    return 0;
}
static void wire_release(void *object) { ((struct wire *)object)->is_released = true; }

static const skua_stream_methods wire_methods = {
    .read = wire_read, .write = wire_write, .shutdown_write = wire_shut, .release = wire_release
};

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

/* Makes outputs comparable: no dates, and no 100 (Continue), which depends on what has come by then. */
static void plain(struct wire *wire)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n", date[] = "\r\nDate: ";
    char *from = wire->output, *to = from, *end = from + wire->used;
    while (from < end) {
        if ((size_t)(end - from) >= sizeof go_on - 1 && memcmp(from, go_on, sizeof go_on - 1) == 0) {
            from += sizeof go_on - 1;
        } else if ((size_t)(end - from) >= sizeof date - 1 + DATE_LENGTH && memcmp(from, date, sizeof date - 1) == 0) {
            from += sizeof date - 1 + DATE_LENGTH;
        } else {
            *to++ = *from++;
        }
    }
    wire->used = (size_t)(to - wire->output);
}

static int on_response(http_parser *parser)
{
    ++*(size_t *)parser->data;
    return 0;
}

/* Whole answers, one after the other. An answer to HEAD has a length and no content, so these are left out. */
static void check_answers(const struct wire *wire)
{
    static const http_parser_settings settings = { .on_message_complete = on_response };
    http_parser parser;
    size_t answers = 0;
    http_parser_init(&parser, HTTP_RESPONSE);
    parser.data = &answers;
    if (wire->used == 0 || memmem(wire->input, wire->size, "HEAD", 4) != NULL)
        return;
    size_t n = http_parser_execute(&parser, &settings, wire->output, wire->used);
    if (n != wire->used || answers == 0) {
        fprintf(stderr, "%s\n%.*s\n", http_errno_name(HTTP_PARSER_ERRNO(&parser)), (int)wire->used, wire->output);
        test_fail(__FILE__, __LINE__, "what it has answered is not HTTP");
    }
    CHECK_EQ(http_parser_execute(&parser, &settings, "", 0), 0);
}

/* ---- one case ---------------------------------------------------------------------------------------------------- */

struct fuzzing {
    struct options options;
    struct server server;
    char *outputs[3];
    uint64_t cases;
    const char *file; /* or NULL */
};

static void serve(struct fuzzing *f, struct wire *wire)
{
    skua_stream *stream;
    CHECK_OK(skua_stream_make(&stream, &wire_methods, wire));
    connection_serve(&f->server, stream, "wire");
    CHECK(wire->is_released);
    CHECK_EQ(f->server.keeper.count, 0);
}

static void try(struct fuzzing *f, const char *input, size_t size, uint64_t random)
{
    struct wire wires[3];
    for (int i = 0; i < 3; i++) {
        wires[i] = (struct wire){
            .input = input, .size = size, .cut = (enum cut)i, .random = random, .output = f->outputs[i]
        };
        serve(f, &wires[i]);
        plain(&wires[i]);
    }
    check_answers(&wires[0]);
    if (memmem(input, size, "xpect", 5) != NULL)
        return; /* the answer may depend on whether the body is there */
    for (int i = 1; i < 3; i++)
        if (wires[i].used != wires[0].used || memcmp(wires[i].output, wires[0].output, wires[0].used) != 0) {
            fprintf(stderr, "--- input\n%.*s\n--- at once\n%.*s\n--- in pieces\n%.*s\n", (int)size, input,
                    (int)wires[0].used, wires[0].output, (int)wires[i].used, wires[i].output);
            test_fail(__FILE__, __LINE__, "the answers depend on how the bytes came");
        }
}

/* ---- mutations --------------------------------------------------------------------------------------------------- */

#define HOST "Host: h\r\n"
static const char *const seeds[] = {
    "GET / HTTP/1.1\r\n" HOST "\r\n",
    "HEAD / HTTP/1.1\r\n" HOST "\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
    "GET http://h/?a=b HTTP/1.1\r\n" HOST "User-Agent: x\r\nAccept: */*\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
    "GET /sleep/5 HTTP/1.1\r\n" HOST "\r\n",
    "GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=1-3\r\n\r\n",
    "GET /files/a%2etxt HTTP/1.1\r\n" HOST "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
    "GET /files/../../etc/passwd HTTP/1.1\r\n" HOST "\r\n",
    "GET /files/d HTTP/1.1\r\n" HOST "Range: bytes=-5\r\nIf-Range: \"x\"\r\n\r\n",
    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nhello world",
    "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    "6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n",
    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "PUT /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
    "DELETE /echo HTTP/1.1\r\n" HOST "\r\n",
    "BREW /pot HTTP/1.1\r\n" HOST "\r\n",
    "GET / HTTP/2.0\r\n" HOST "\r\n",
    "\r\n\r\nGET /none HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n",
    "CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n",
};
static const char *const words[] = {
    "\r\n", "\n", "\r", " ", ":", "0", "ffffffff", "\r\n\r\n", "Content-Length: 5\r\n", "Host: x\r\n", "%00", "%2f",
    "Transfer-Encoding: chunked\r\n", "..", "?", "HTTP/1.1", "-1", "\t", "18446744073709551616",
    "Connection: keep-alive\r\n",
    "Upgrade: h2c\r\nConnection: upgrade\r\n", ";", "bytes=", "\x80", "\x7f",
};
#define COUNT(array) (sizeof(array) / sizeof (array)[0])

static size_t insert(char *input, size_t size, size_t at, const char *text, size_t length)
{
    if (size + length > INPUT_MAX)
        return size;
    memmove(input + at + length, input + at, size - at);
    memcpy(input + at, text, length);
    return size + length;
}

static size_t mutate(char *input, size_t size, uint64_t *random)
{
    size_t at = size > 0 ? test_rand(random) % size : 0, length = 1 + test_rand(random) % 12;
    char copy[1024];
    length = length < size - at ? length : size - at;
    switch (test_rand(random) % 6) {
    case 0: /* a bit */
        if (size > 0)
            input[at] = (char)(input[at] ^ (1 << test_rand(random) % 8));
        return size;
    case 1: /* less */
        memmove(input + at, input + at + length, size - at - length);
        return size - length;
    case 2: { /* a word that matters */
        const char *word = words[test_rand(random) % COUNT(words)];
        return insert(input, size, at, word, strlen(word));
    }
    case 3: /* a stretch twice */
        memcpy(copy, input + at, length);
        return insert(input, size, at, copy, length);
    case 4: /* much of the same */
        length = 1 + test_rand(random) % sizeof copy;
        memset(copy, size > 0 ? input[at] : 'x', length);
        return insert(input, size, at, copy, length);
    default: /* the end is missing */
        return test_rand(random) % 4 == 0 ? at : size;
    }
}

static size_t make_case(char *input, uint64_t *random)
{
    size_t size = 0;
    const char *seed = NULL;
    for (uint64_t left = 1 + test_rand(random) % 5; left > 0; left--) {
        if (seed == NULL || test_rand(random) % 3 != 0) /* else the same again */
            seed = seeds[test_rand(random) % COUNT(seeds)];
        size = insert(input, size, size, seed, strlen(seed));
    }
    for (uint64_t left = test_rand(random) % 4; left > 0; left--)
        size = mutate(input, size, random);
    return size;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static char root[] = "/tmp/fuzz_httpd.XXXXXX";

static void write_file(int directory, const char *name, const char *text)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static int run_file(void *arg)
{
    struct fuzzing *f = arg;
    char *bytes;
    ssize_t size = skua_file_read_whole(f->file, (void **)&bytes);
    CHECK_OK(size);
    try(f, bytes, (size_t)size, 1);
    free(bytes);
    return 0;
}

static int run_cases(void *arg)
{
    struct fuzzing *f = arg;
    char *input = malloc(INPUT_MAX);
    CHECK(input != NULL);
    for (uint64_t i = 0; i < f->cases; i++) {
        uint64_t random = test_seed() + i;
        test_at_seed(random);
        size_t size = make_case(input, &random);
        char *exact = malloc(size); /* so that a byte too far is noticed */
        CHECK(exact != NULL || size == 0);
        memcpy(exact, input, size);
        try(f, exact, size, random);
        free(exact);
    }
    test_at_no_seed();
    free(input);
    return 0;
}

static void run(skua_fiber_fn *body, const char *file)
{
    struct fuzzing f = { .options = options_default, .cases = test_scaled(20000), .file = file };
    skua_runtime *runtime;
    CHECK(mkdtemp(root) != NULL);
    f.options.max_head = MAX_HEAD;
    f.options.max_body = MAX_BODY;
    f.server = (struct server){ .options = &f.options, .root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    CHECK_OK(f.server.root);
    write_file(f.server.root, "a.txt", "some text\n");
    CHECK(mkdirat(f.server.root, "d", 0700) == 0);
    keeper_init(&f.server.keeper, &f.options);
    for (int i = 0; i < 3; i++)
        CHECK((f.outputs[i] = malloc(OUTPUT_MAX)) != NULL);
    CHECK_OK(skua_runtime_create(&runtime, &(skua_config){ .simulate = true, .sim_seed = 1, .workers = 1 }));
    CHECK_OK(skua_block_on(runtime, body, &f));
    CHECK_OK(skua_runtime_destroy(runtime));
    for (int i = 0; i < 3; i++)
        free(f.outputs[i]);
    CHECK(unlinkat(f.server.root, "a.txt", 0) == 0);
    CHECK(unlinkat(f.server.root, "d", AT_REMOVEDIR) == 0);
    close(f.server.root);
    CHECK(rmdir(root) == 0);
    strcpy(root + strlen(root) - 6, "XXXXXX");
}

TEST(mutated_requests)
{
    test_allow_heap_growth(512); /* glibc keeps what it knows of the time zone */
    run(run_cases, NULL);
}

TEST(a_file)
{
    const char *file = getenv("FUZZ_FILE");
    if (file != NULL)
        run(run_file, file);
}
