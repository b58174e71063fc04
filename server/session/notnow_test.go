package session

import (
	"strings"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestNotNow: passing trouble has a code of its own, with the time after which to ask
// again, in the reply of subscribe and in the notice of the first join.
func TestNotNow(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, tokenOf(t, "42", time.Hour), "join=manual")
	c.refuse = map[string]error{
		"orders:42": &rooms.NotNowError{Why: "Kafka is away", RetryAfter: 1500 * time.Millisecond},
		"trades":    rooms.ErrStopped,
	}
	c.take()
	away := `{"room":"orders:42","error":{"code":-32010,"message":"not now: Kafka is away","data":{"retryAfter":1500}}}`
	got := c.says(`{"method":"authenticate","params":{"join":["orders:42","prices"]},"id":2}`)
	if want := `"globalRooms":["prices"],"userRooms":[],"totalRooms":1,"class":{"prices":"market"},` +
		`"chain":{"prices":false},"positions":{"prices":{"epoch":"e1","0":7}},"errors":[` + away +
		`]}}`; !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant … %s", got, want)
	}
	got = c.says(`{"method":"subscribe","params":{"rooms":["orders:42","trades"]},"id":3}`)
	stopping := `{"room":"trades","error":{"code":-32010,"message":"not now: the gateway is stopping",` +
		`"data":{"retryAfter":1000}}}`
	if want := `{"jsonrpc":"2.0","id":3,"result":{"rooms":[` + away + `,` + stopping + `]}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := sessionOf(c).rooms; n != 1 {
		t.Errorf("%d rooms are counted, one was joined", n)
	}
}
