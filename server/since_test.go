package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tapecast/rooms"
)

// TestSinceFits: the positions that the gateway gave fit into a request, however many they are.
func TestSinceFits(t *testing.T) {
	s := startServer(t)
	c := enter(t, s, "42")
	names, since := []byte(`"trades"`), []byte(`{"trades":{"epoch":"none","0":1}`)
	for i := range 400 {
		names = fmt.Appendf(names, `,"trades:R%03d"`, i)
		since = fmt.Appendf(since, `,"trades:R%03d":{"epoch":"none"`, i)
		for part := range 12 {
			since = fmt.Appendf(since, `,"%d":%d`, part, 900_000_000+i)
		}
		since = append(since, '}')
	}
	request := fmt.Sprintf(`{"method":"subscribe","params":{"rooms":[%s],"since":%s}},"id":7}`, names, since)
	if len(request) < 80_000 {
		t.Fatalf("only %d bytes", len(request))
	}
	c.send(request)
	if got := c.until(`"id":7`); strings.Count(got, `"recovered":false`) != 400 {
		t.Errorf("got %.500s", got)
	}
}

// TestRecallBeforeReading: what Kafka is asked for before it is read is answered "not now", be it
// records or the names of rooms.
func TestRecallBeforeReading(t *testing.T) {
	var s Server
	var notNow *rooms.NotNowError
	answers := 0
	refused := func(err error) {
		if answers++; !errors.As(err, &notNow) || notNow.RetryAfter <= 0 {
			t.Errorf("the answer is %v", err)
		}
	}
	s.recall(&rooms.Recall{Done: func(_ *rooms.Past, err error) { refused(err) }})
	s.recall(&rooms.Recall{Names: func(_ []string, err error) { refused(err) }})
	s.positionsAt(nil, 0, "", func(_ rooms.Positions, err error) { refused(err) })
	if answers != 3 {
		t.Errorf("%d answers", answers)
	}
}
