package session

import (
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fastjson"

	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
	"tapecast/server/rights"
)

type op uint8

const (
	opUnknown op = iota
	opAuthenticate
	opSubscribe
	opUnsubscribe
	opList
	opPing
)

// keepBytes is the longest message whose parser is used again: one of 64 KiB holds 3 MB.
const keepBytes = 4 << 10

// request is one JSON-RPC 2.0 request (https://www.jsonrpc.org/specification), and the space in
// which its reply is made. It is used for one message at a time, by the goroutine that got it from
// the pool. What outlives the call must be copied.
type request struct {
	op     op
	id     []byte          // as it is echoed: 1, "a" or null; empty: a notification
	method []byte          // as it was sent
	params *fastjson.Value // an object, an array, or nil

	parser fastjson.Parser
	idBuf  []byte
	out    []byte
	big    bool
	size   int // of the message
}

var requests = sync.Pool{New: func() any { return new(request) }}

func getRequest() *request { return requests.Get().(*request) }

func putRequest(q *request) {
	q.id = nil // it may be the text of a message, or idNull: neither may be written through
	if !q.big && cap(q.out) <= keepBytes {
		requests.Put(q)
	}
}

// fault is a JSON-RPC error. The zero value is none.
type fault struct {
	code   int
	text   string
	oldest *rooms.Positions // of wire.CodeTooOld: the earliest positions that are left
	// retryAfter is how long the client should wait, of wire.CodeNotNow. The reply has it in ms.
	retryAfter time.Duration
	verdict    rights.Verdict // of wire.CodeForbidden
}

func (f fault) is() bool { return f.code != 0 }

func badRequest(why string) fault {
	return fault{code: wire.CodeInvalid, text: "invalid request: " + why}
}

func badParams(why string) fault {
	return fault{code: wire.CodeParams, text: "invalid params: " + why}
}

func overMost(what string) fault {
	return fault{code: wire.CodeLimit, text: "limit reached: " + what}
}

// parse reads one message. If it returns a fault, id is that of the message, or null if it is not
// known. A message that is not a request is not a notification either, and is answered with the id
// null (JSON-RPC 2.0, section 7).
func (q *request) parse(p []byte) fault {
	q.op, q.method, q.params, q.id = opUnknown, nil, nil, idNull
	q.big, q.size = len(p) > keepBytes, len(p)
	if jsontext.TooDeep(p) {
		return fault{code: wire.CodeParse,
			text: "parse error: nested more than " + strconv.Itoa(jsontext.MaxDepth) + " deep"}
	}
	v, err := q.parser.ParseBytes(p)
	if err != nil || !jsontext.Valid(p) {
		return fault{code: wire.CodeParse, text: "parse error: the message is not valid JSON"}
	}
	switch v.Type() {
	case fastjson.TypeObject:
	case fastjson.TypeArray:
		return badRequest("batches are not supported, send one request per message")
	default:
		return badRequest("a request is an object with method, params and id")
	}
	f := q.parseID(v.Get("id"))
	if !f.is() {
		f = q.parseRest(v)
	}
	if name, twice := doubledIn(v); twice {
		f = badRequest(jsontext.Quoted(name) + " stands twice in one object; leave one of them out")
		if name == "id" {
			q.id = idNull
		}
	}
	if f.is() && len(q.id) == 0 {
		f.code, q.id = wire.CodeInvalid, idNull
	}
	return f
}

func (q *request) parseRest(v *fastjson.Value) fault {
	if ver := v.Get("jsonrpc"); ver != nil && string(ver.GetStringBytes()) != "2.0" {
		return badRequest(`jsonrpc must be "2.0" or left out`)
	}
	method := v.Get("method")
	if method == nil || method.Type() != fastjson.TypeString {
		return badRequest("method must be a string")
	}
	q.method, _ = method.StringBytes()
	q.op = opOf(q.method)
	params := v.Get("params")
	if params == nil {
		return fault{}
	}
	switch params.Type() {
	case fastjson.TypeObject, fastjson.TypeArray:
		q.params = params
	case fastjson.TypeNull:
	default:
		return badParams("an object or an array is expected")
	}
	return fault{}
}

// opOf finds a method; case does not matter.
func opOf(method []byte) op {
	var lower [len("list_subscriptions")]byte
	if len(method) > len(lower) {
		return opUnknown
	}
	for i, c := range method {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	switch string(lower[:len(method)]) {
	case "authenticate":
		return opAuthenticate
	case "subscribe":
		return opSubscribe
	case "unsubscribe":
		return opUnsubscribe
	case "list_subscriptions":
		return opList
	case "ping", "heartbeat":
		return opPing
	}
	return opUnknown
}
