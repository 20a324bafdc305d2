// The HTTP server of bench/README.md on fasthttp: `fasthttp-peer serve_http WORKERS SECONDS`. Built by scripts/bench
// --peers from Debian's sources.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"

	"github.com/valyala/fasthttp"
)

func main() {
	if len(os.Args) != 4 || os.Args[1] != "serve_http" {
		fmt.Fprintln(os.Stderr, "usage: fasthttp-peer serve_http WORKERS SECONDS")
		os.Exit(2)
	}
	workers, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(workers)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	hello := []byte("Hello, world!\n")
	panic(fasthttp.Serve(listener, func(c *fasthttp.RequestCtx) {
		c.SetContentType("text/plain")
		c.SetBody(hello)
	}))
}
