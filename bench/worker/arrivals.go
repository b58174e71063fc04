package worker

import (
	"cmp"
	"slices"

	"tapecast/bench/job"
)

// arrivals records when each message of a run reached each client's socket, by the
// kernel's clock. The order in which epoll reports sockets is not the order in which the
// gateway sent to them. It belongs to one loop.
type arrivals struct {
	clients int
	at      []int64 // by message and client, ns since 1970; 0: has not arrived
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
func (a *arrivals) places(warm int64) *job.Places {
	p := &job.Places{First: make([]int64, a.clients), Last: make([]int64, a.clients), Mean: make([]float64, a.clients),
		Spread: job.NewHist()}
	if a.clients < 2 {
		return p
	}
	order := make([]int, a.clients) // clients, the first to get a message first
	var before int64                // when the last client had the previous message
	for n := int64(0); n < int64(len(a.at)/a.clients); n++ {
		row := a.at[n*int64(a.clients) : (n+1)*int64(a.clients)]
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int { return cmp.Compare(row[x], row[y]) })
		first, last := order[0], order[len(order)-1]
		if row[first] == 0 {
			continue // a client lacks it; the loss is reported elsewhere
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
		for rank, i := range order {
			p.Mean[i] += float64(rank) / float64(len(order)-1)
		}
	}
	for i := range p.Mean {
		p.Mean[i] /= float64(max(p.Messages, 1))
	}
	return p
}
