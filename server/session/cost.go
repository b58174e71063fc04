package session

import (
	"github.com/valyala/fastjson"

	"tapecast/server/config"
	"tapecast/server/limits"
)

// named returns how many rooms, positions and keys a request names. The method refuses anything
// else later.
func (q *request) named() (n int) {
	if q.params == nil {
		return 0
	}
	if q.params.Type() == fastjson.TypeArray {
		list, _ := q.params.Array()
		return len(list)
	}
	for _, field := range [...]string{"rooms", "keys", "join"} {
		if v := q.get(field); v != nil {
			list, _ := v.Array()
			n += len(list)
		}
	}
	if v := q.get("since"); v != nil {
		if o, err := v.Object(); err == nil {
			n += o.Len()
		}
	}
	return n
}

// cost returns what a request costs before it is answered, on a connection with that many rooms.
func (q *request) cost(rooms int) int64 {
	n := limits.CostMessage + q.size/limits.CostBytes
	switch q.op {
	case opSubscribe, opUnsubscribe:
		n += q.named()
	case opAuthenticate:
		n += q.named()
		if q.get("token") != nil {
			n += config.TokenCost
		}
	case opList:
		n += rooms
	}
	return int64(n)
}

// weight returns how much a request counts while it waits for its rooms.
func (q *request) weight() uint8 {
	n := 1 + (q.size+roomSize*q.named())/waitUnit
	return uint8(min(n, maxWaiting-1)) // beside the join on authentication
}
