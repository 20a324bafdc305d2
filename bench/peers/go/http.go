// The HTTP server of bench/README.md on net/http.
package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Below so many rows a goroutine takes longer than the work.
const serialRows = 5

func placeSerially(all, columns, left, right uint32) int64 {
	if columns == all {
		return 1
	}
	solutions := int64(0)
	for open := all &^ (columns | left | right); open != 0; open &= open - 1 {
		queen := open & -open
		solutions += placeSerially(all, columns|queen, (left|queen)<<1, (right|queen)>>1)
	}
	return solutions
}

// As the example server does it: each square of a row on its own, but for the last rows.
func place(rows int, all, columns, left, right uint32) int64 {
	if rows <= serialRows {
		return placeSerially(all, columns, left, right)
	}
	found, count, solutions := make(chan int64), 0, int64(0)
	for open := all &^ (columns | left | right); open != 0; open &= open - 1 {
		queen := open & -open
		go func() { found <- place(rows-1, all, columns|queen, (left|queen)<<1, (right|queen)>>1) }()
		count++
	}
	for ; count > 0; count-- {
		solutions += <-found
	}
	return solutions
}

func serveHTTP() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	hello := []byte("Hello, world!\n")
	http.HandleFunc("/", func(to http.ResponseWriter, _ *http.Request) {
		to.Header()["Content-Type"] = []string{"text/plain"}
		_, _ = to.Write(hello)
	})
	http.HandleFunc("/nqueens/", func(to http.ResponseWriter, request *http.Request) {
		n, err := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/nqueens/"))
		if err != nil || n < 1 || n > 16 {
			http.NotFound(to, request)
			return
		}
		fmt.Fprintln(to, place(n, 1<<n-1, 0, 0, 0))
	})
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	must(http.Serve(listener, nil))
}
