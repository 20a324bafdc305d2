/* The server of bench/README.md on libuv: `libuv-peer serve WORKERS SECONDS`. It has one loop, whatever WORKERS says.
 * Answers are written at once (uv_try_write), and by a request only if there is no room.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER = 4096 };

struct late_write {
    uv_write_t request;
    char data[BUFFER];
};

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "libuv-peer: %s: %s\n", what, uv_strerror(rc));
    exit(1);
}

static void on_closed(uv_handle_t *peer) { free(peer); }

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

/* One loop: nobody else needs it between on_alloc and on_read. */
static void on_alloc(uv_handle_t *peer, size_t size, uv_buf_t *buffer)
{
    static char memory[BUFFER];
    (void)peer;
    (void)size;
    *buffer = uv_buf_init(memory, sizeof memory);
}

static void write_late(uv_stream_t *peer, const char *data, size_t size)
{
    struct late_write *late = malloc(sizeof *late);
    if (late == NULL)
        abort();
    memcpy(late->data, data, size);
    uv_buf_t buffer = uv_buf_init(late->data, (unsigned)size);
    must(uv_write(&late->request, peer, &buffer, 1, on_written), "write");
}

static void on_read(uv_stream_t *peer, ssize_t n, const uv_buf_t *buffer)
{
    if (n < 0) {
        uv_close((uv_handle_t *)peer, on_closed);
        return;
    }
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)n);
    int written = n > 0 ? uv_try_write(peer, &answer, 1) : 0;
    if (written == UV_EAGAIN)
        written = 0;
    if (written >= 0 && written < n)
        write_late(peer, buffer->base + written, (size_t)(n - written));
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *peer = malloc(sizeof *peer);
    if (peer == NULL)
        abort();
    must(status, "accept");
    must(uv_tcp_init(listener->loop, peer), "tcp");
    must(uv_accept(listener, (uv_stream_t *)peer), "accept");
    must(uv_tcp_nodelay(peer, 1), "nodelay");
    must(uv_read_start((uv_stream_t *)peer, on_alloc, on_read), "read");
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    struct sockaddr_in address;
    int length = sizeof address;
    if (argc != 4 || strcmp(argv[1], "serve") != 0) {
        fputs("usage: libuv-peer serve WORKERS SECONDS\n", stderr);
        return 2;
    }
    must(uv_ip4_addr("127.0.0.1", 0, &address), "address");
    must(uv_tcp_init(loop, &listener), "tcp");
    must(uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0), "bind");
    must(uv_listen((uv_stream_t *)&listener, 4096, on_connection), "listen");
    must(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "getsockname");
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
