/* Coroutines, gathered, as in Python's asyncio:
 *
 *     async def fetch(url):
 *         reader, writer = await asyncio.open_connection(host, port)
 *         writer.write(…)
 *         return await reader.read()
 *     results = await asyncio.gather(*(fetch(url) for url in urls), return_exceptions=True)
 *
 * Here a coroutine is a fiber: a function like any other, in which a call that waits says so by being called. All run
 * at the same time, on all workers, and the results are in the order of what was asked for. When the call returns all
 * have ended, so that all they work with lies in main's memory.
 *
 *     skua-gather http://127.0.0.1:8000/a http://127.0.0.1:8000/b …
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <skua.h>

#include "examples/http.h"

enum { TIMEOUT_S = 30 };

struct page {
    const char *url;
    int status;
    size_t bytes;
    uint32_t checksum;
};

static int fetch(void *arg)
{
    struct page *page = arg;
    struct http http;
    char part[1024];
    ssize_t n;
    SKUA_DEADLINE(TIMEOUT_S * SKUA_S);
    int rc = http_get(&http, page->url);
    if (rc < 0)
        return rc;
    page->status = http.status;
    while ((n = skua_reader_read(&http.in, part, sizeof part)) > 0) {
        page->bytes += (size_t)n;
        for (ssize_t i = 0; i < n; i++)
            page->checksum = page->checksum * 31 + (unsigned char)part[i];
    }
    skua_stream_close(http.stream);
    return (int)n;
}

static char **urls;
static size_t count;

static int run(void *arg)
{
    struct page *pages = calloc(count, sizeof *pages);
    skua_call *calls = calloc(count, sizeof *calls);
    int64_t good = -ENOMEM;
    (void)arg;
    if (pages != NULL && calls != NULL) {
        for (size_t i = 0; i < count; i++) {
            pages[i].url = urls[i];
            calls[i] = (skua_call){ .fn = fetch, .arg = &pages[i] };
        }
        good = skua_gather_settled(calls, count, NULL); /* skua_gather() would give up at the first failure */
    }
    for (size_t i = 0; good >= 0 && i < count; i++)
        if (calls[i].result < 0)
            printf("%s: %s\n", pages[i].url, skua_strerror((int)calls[i].result));
        else
            printf("%s: %d, %zu bytes, checksum %08x\n", pages[i].url, pages[i].status, pages[i].bytes,
                   pages[i].checksum);
    free(pages);
    free(calls);
    return good < 0 ? (int)good : (size_t)good != count;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: skua-gather http://HOST:PORT/PATH…\n");
        return 2;
    }
    urls = argv + 1;
    count = (size_t)argc - 1;
    return skua_main(run, NULL);
}
