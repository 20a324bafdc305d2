// What examples/wordcount.c does, as a Go programmer would write it: a goroutine for each directory and each file, so
// many files at a time, and large files in pieces. For comparison:
//
//	go build -o go-wordcount ./bench/peers/go-wordcount/main.go && GOMAXPROCS=2 ./go-wordcount DIR…
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	buffer       = 32 * 1024
	piece        = 256 * 1024
	filesAtATime = 64
)

// ---- counting ---------------------------------------------------------------------------------------------------

const (
	neither = iota
	space
	word
)

type tally struct {
	lines, words, bytes uint64
	first, last         uint8
}

var kinds = func() (kinds [256]uint8) {
	for c := ' ' + 1; c <= '~'; c++ {
		kinds[c] = word
	}
	for _, c := range " \t\n\v\f\r" {
		kinds[c] = space
	}
	return
}()

func (t *tally) append(right *tally) {
	t.lines += right.lines
	t.words += right.words
	t.bytes += right.bytes
	if t.last == word && right.first == word {
		t.words--
	}
	if t.first == neither {
		t.first = right.first
	}
	if right.last != neither {
		t.last = right.last
	}
}

func (t *tally) count(text []byte) {
	lines, words, last := uint64(0), uint64(0), t.last
	for _, c := range text {
		kind := kinds[c]
		if kind == word {
			if last != word {
				words++
			}
			last = word
		} else if kind == space {
			if c == '\n' {
				lines++
			}
			last = space
		}
	}
	for i := 0; t.first == neither && i < len(text); i++ {
		t.first = kinds[text[i]]
	}
	t.lines, t.words, t.bytes, t.last = t.lines+lines, t.words+words, t.bytes+uint64(len(text)), last
}

// ---- reading ----------------------------------------------------------------------------------------------------

var (
	buffers            = sync.Pool{New: func() any { return new([buffer]byte) }}
	places             = make(chan struct{}, filesAtATime)
	directories, files sync.WaitGroup
	total              tally
	totalLock          sync.Mutex
	counted, failed    uint64
)

func complain(err error) {
	fmt.Fprintf(os.Stderr, "go-wordcount: %v\n", err)
	atomic.AddUint64(&failed, 1)
}

func (t *tally) part(file *os.File, from, to int64) error {
	text := buffers.Get().(*[buffer]byte)
	defer buffers.Put(text)
	for from < to {
		size := to - from
		if size > buffer {
			size = buffer
		}
		n, err := file.ReadAt(text[:size], from)
		t.count(text[:n])
		from += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tally) large(file *os.File, size int64) error {
	count := int((size + piece - 1) / piece)
	parts, errs := make([]tally, count), make([]error, count)
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			errs[i] = parts[i].part(file, int64(i)*piece, int64(i+1)*piece)
			all.Done()
		}(i)
	}
	all.Wait()
	for i := range parts {
		if errs[i] != nil {
			return errs[i]
		}
		t.append(&parts[i])
	}
	return nil
}

func countFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var t tally
	if info.Size() >= 2*piece {
		err = t.large(file, info.Size())
	} else if info.Size() > 0 {
		err = t.part(file, 0, info.Size())
	} else {
		err = t.part(file, 0, 1<<62)
	}
	totalLock.Lock()
	total.lines += t.lines
	total.words += t.words
	total.bytes += t.bytes
	totalLock.Unlock()
	return err
}

// ---- walking ----------------------------------------------------------------------------------------------------

func walk(path string) {
	defer directories.Done()
	directory, err := os.Open(path)
	if err != nil {
		complain(err)
		return
	}
	entries, err := directory.ReadDir(-1)
	directory.Close()
	if err != nil {
		complain(err)
	}
	for _, entry := range entries {
		path := filepath.Join(path, entry.Name())
		switch entry.Type() {
		case fs.ModeDir:
			directories.Add(1)
			go walk(path)
		case 0:
			places <- struct{}{}
			files.Add(1)
			go func() {
				if err := countFile(path); err != nil {
					complain(err)
				} else {
					atomic.AddUint64(&counted, 1)
				}
				<-places
				files.Done()
			}()
		}
	}
}

func main() {
	roots := os.Args[1:]
	if len(roots) == 0 {
		roots = []string{"/usr/share/doc", "/usr/include"}
	}
	start := time.Now()
	for _, root := range roots {
		directories.Add(1)
		go walk(root)
	}
	directories.Wait()
	files.Wait()
	fmt.Printf("%d lines, %d words, %d bytes in %d files, %.3f s\n", total.lines, total.words, total.bytes, counted,
		time.Since(start).Seconds())
	if failed > 0 {
		os.Exit(1)
	}
}
