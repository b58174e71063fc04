package worker

import (
	"sort"

	"tapecast/bench/job"
)

// arrivals keeps when each of a run's messages reached each client's socket,
// by the kernel's clock: the order in which epoll tells of sockets is not the
// order in which they were sent to. It belongs to one loop.
type arrivals struct {
	clients int
	at      []int64 // by message and client, ns since 1970; 0: not there
}

func newArrivals(clients int, messages int64) *arrivals {
	return &arrivals{clients: clients, at: make([]int64, int64(clients)*messages)}
}

func (a *arrivals) put(client int, n, stamp int64) {
	if i := n*int64(a.clients) + int64(client); i < int64(len(a.at)) {
		a.at[i] = stamp
	}
}

// places evaluates the messages from number warm on.
func (a *arrivals) places(warm int64) job.Places {
	p := job.Places{First: make([]int64, a.clients), Last: make([]int64, a.clients), Mean: make([]float64, a.clients),
		Spread: job.NewHist()}
	if a.clients < 2 {
		return p
	}
	order := make([]int, a.clients)
	var before int64 // when the last client had the message before
	for n := int64(0); n < int64(len(a.at)/a.clients); n++ {
		row := a.at[n*int64(a.clients) : (n+1)*int64(a.clients)]
		for i := range order {
			order[i] = i
		}
		sort.Slice(order, func(x, y int) bool { return row[order[x]] < row[order[y]] })
		first, last := order[0], order[len(order)-1]
		if row[first] == 0 {
			continue // somebody lacks it; the loss is reported
		}
		overlaps := row[first] <= before
		before = max(before, row[last])
		if n < warm {
			continue
		}
		if overlaps {
			p.Overlapping++
			continue
		}
		p.Messages++
		p.First[first]++
		p.Last[last]++
		p.Spread.Record(row[last] - row[first])
		for place, i := range order {
			p.Mean[i] += float64(place) / float64(len(order)-1)
		}
	}
	for i := range p.Mean {
		p.Mean[i] /= float64(max(p.Messages, 1))
	}
	return p
}
