// Servers, timers, datagrams and streams. Definitions and sizes: bench/README.md and bench/cases/work.h.
package main

import (
	"fmt"
	"io"
	"net"
	"sort"
	"syscall"
	"time"
)

const (
	serverBuffer     = 4096
	farTimers        = 10_000
	timers           = 1_000_000
	timersMs         = 1_000
	timersTogetherMs = 3_000
	naps             = 1_000
	armed            = 1_000
	armRounds        = 200
	udpSize          = 64
	udpBatch         = 32
	udpRounds        = 2_000
	piece            = 65536
	pieces           = 8192
)

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

// ---- servers ----------------------------------------------------------------------------------------------------

func sendBack(peer net.Conn) {
	defer peer.Close()
	buffer := make([]byte, serverBuffer)
	for {
		n, err := peer.Read(buffer)
		if err != nil {
			return
		}
		if _, err = peer.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Until killed. The limit of descriptors is inherited, and accepted sockets have no delay by default.
func serve(withTimers bool) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	for i := 0; withTimers && i < farTimers; i++ {
		go time.Sleep(time.Hour)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		peer, err := listener.Accept()
		must(err)
		go sendBack(peer)
	}
}

// ---- timers -----------------------------------------------------------------------------------------------------

func sleepUntil(c *count, until time.Time) {
	time.Sleep(time.Until(until))
	c.down()
}

func sleepingBytes() float64 {
	c := newCount(timers)
	before := rssBytes()
	until := time.Now().Add(timersTogetherMs * time.Millisecond)
	for i := 0; i < timers; i++ {
		go sleepUntil(c, until)
	}
	time.Sleep(time.Until(until) - 100*time.Millisecond)
	bytes := (rssBytes() - before) / timers
	c.waitForZero()
	return bytes
}

func timers1m() {
	bytes := sleepingBytes()
	c := newCount(timers)
	cpu, begin := cpuNs(), time.Now()
	last := begin
	for i := int64(0); i < timers; i++ {
		place := i * 7919 % timers
		until := time.Now().Add(time.Duration(1_000_000 + place*(timersMs-1)*1_000_000/timers))
		if until.After(last) {
			last = until
		}
		go sleepUntil(c, until)
	}
	c.waitForZero()
	end := time.Now()
	fmt.Printf("- %f ns/op\ncpu %f ns/op\n", float64(end.Sub(begin).Nanoseconds())/timers, (cpuNs()-cpu)/timers)
	fmt.Printf("late %f us\nbytes %f bytes\n", float64(end.Sub(last).Nanoseconds())/1e3, bytes)
}

func sleepLateness() {
	late := make([]float64, naps)
	for i := range late {
		due := time.Now().Add(time.Millisecond)
		time.Sleep(time.Millisecond)
		late[i] = float64(time.Since(due).Nanoseconds()) / 1e3
	}
	sort.Float64s(late)
	fmt.Printf("p50 %f us\np99 %f us\n", late[naps/2], late[naps*99/100])
}

func timerArmCancel() int64 {
	set := make([]*time.Timer, armed)
	for round := 0; round < armRounds; round++ {
		for i := range set {
			set[i] = time.NewTimer(time.Minute + time.Duration(i)*time.Millisecond)
		}
		for _, timer := range set {
			if !timer.Stop() {
				fail("a timer has expired")
			}
		}
	}
	return armed * armRounds
}

// ---- datagrams and streams --------------------------------------------------------------------------------------

// There are no batches in the standard library.
func udpPps() int64 {
	var sockets [2]*net.UDPConn
	for i := range sockets {
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(err)
		defer socket.Close()
		sockets[i] = socket
	}
	from, to := sockets[0], sockets[1]
	fromAddress, toAddress := from.LocalAddr().(*net.UDPAddr).AddrPort(), to.LocalAddr().(*net.UDPAddr).AddrPort()
	c := newCount(1)
	go func() {
		buffer := make([]byte, udpSize)
		for round := 0; round < udpRounds; round++ {
			for got := 0; got < udpBatch; got++ {
				n, _, err := to.ReadFromUDPAddrPort(buffer)
				must(err)
				check("a datagram", int64(n), udpSize)
			}
			_, err := to.WriteToUDPAddrPort(buffer[:1], fromAddress)
			must(err)
		}
		c.down()
	}()
	data, answer := make([]byte, udpSize), make([]byte, 1)
	for round := 0; round < udpRounds; round++ {
		for sent := 0; sent < udpBatch; sent++ {
			_, err := from.WriteToUDPAddrPort(data, toAddress)
			must(err)
		}
		_, _, err := from.ReadFromUDPAddrPort(answer)
		must(err)
	}
	c.waitForZero()
	return udpBatch * udpRounds
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func fill(to halfCloser) {
	data := make([]byte, piece)
	for i := 0; i < pieces; i++ {
		_, err := to.Write(data)
		must(err)
	}
	must(to.CloseWrite())
}

func drain(from io.Reader) {
	data, sum := make([]byte, piece), int64(0)
	for {
		n, err := from.Read(data)
		sum += int64(n)
		if err == io.EOF {
			break
		}
		must(err)
	}
	check("bytes", sum, piece*pieces)
}

func pairOf(network, address string) (halfCloser, halfCloser) {
	listener, err := net.Listen(network, address)
	must(err)
	defer listener.Close()
	a, err := net.Dial(network, listener.Addr().String())
	must(err)
	b, err := listener.Accept()
	must(err)
	return a.(halfCloser), b.(halfCloser)
}

func unixThroughput() int64 {
	a, b := pairOf("unix", fmt.Sprintf("@skua-bench-%d", syscall.Getpid()))
	go fill(a)
	drain(b)
	a.Close()
	b.Close()
	return pieces
}

// By splice, which io.Copy uses between TCP connections.
func copyTCP() int64 {
	in, from := pairOf("tcp", "127.0.0.1:0")
	to, out := pairOf("tcp", "127.0.0.1:0")
	go fill(in)
	go func() {
		n, err := io.Copy(to, from)
		must(err)
		check("bytes copied", n, piece*pieces)
		must(to.CloseWrite())
	}()
	drain(out)
	for _, c := range []halfCloser{in, from, to, out} {
		c.Close()
	}
	return pieces
}

func iterateIO(name string) int64 {
	switch name {
	case "timer_arm_cancel":
		return timerArmCancel()
	case "udp_pps":
		return udpPps()
	case "unix_throughput":
		return unixThroughput()
	case "copy_tcp":
		return copyTCP()
	}
	return 0
}
