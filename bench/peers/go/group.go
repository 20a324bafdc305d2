package main

import "sync"

const (
	members = 1_000
	groups  = 1_000
)

// As golang.org/x/sync/errgroup, which is not in the standard library, without its context.
type errGroup struct {
	wait sync.WaitGroup
	once sync.Once
	err  error
}

func (g *errGroup) goes(f func() error) {
	g.wait.Add(1)
	go func() {
		defer g.wait.Done()
		if err := f(); err != nil {
			g.once.Do(func() { g.err = err })
		}
	}()
}

func group1000(n int64) int64 {
	for i := int64(0); i < n; i++ {
		var g errGroup
		for j := 0; j < members; j++ {
			g.goes(func() error { return nil })
		}
		g.wait.Wait()
		if g.err != nil {
			fail("%v", g.err)
		}
	}
	return n * members
}

// The bare wait group: nothing fails, and one addition for all.
func groupBare1000() int64 {
	for i := 0; i < groups; i++ {
		var wait sync.WaitGroup
		wait.Add(members)
		for j := 0; j < members; j++ {
			go wait.Done()
		}
		wait.Wait()
	}
	return groups * members
}

func groupCollect1000() int64 {
	for i := 0; i < groups; i++ {
		results, sum := make(chan int64, members), int64(0)
		for j := int64(0); j < members; j++ {
			go func(j int64) { results <- j }(j)
		}
		for j := 0; j < members; j++ {
			sum += <-results
		}
		check("results", sum, members*(members-1)/2)
	}
	return groups * members
}
