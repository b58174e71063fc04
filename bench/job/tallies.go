package job

import "reflect"

// Add adds one tally to another, field by field: numbers, histograms, counts by name, lists, and parts
// that either may lack. Of fields with the tag sum:"most" the greater number stays. Afterwards the two
// may share parts.
func Add[T any](t, u *T) { add(reflect.ValueOf(t).Elem(), reflect.ValueOf(u).Elem()) }

func add(t, u reflect.Value) {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		t.SetInt(t.Int() + u.Int())
	case reflect.Float64:
		t.SetFloat(t.Float() + u.Float())
	case reflect.Struct:
		for i := range t.NumField() {
			if f, g := t.Field(i), u.Field(i); t.Type().Field(i).Tag.Get("sum") == "most" {
				f.SetInt(max(f.Int(), g.Int()))
			} else {
				add(f, g)
			}
		}
	case reflect.Slice:
		both := min(t.Len(), u.Len())
		if t.Type().Elem().Kind() == reflect.String {
			both = 0
		}
		for i := range both {
			add(t.Index(i), u.Index(i))
		}
		t.Set(reflect.AppendSlice(t, u.Slice(both, u.Len())))
	case reflect.Map:
		if t.IsNil() {
			t.Set(reflect.MakeMap(t.Type()))
		}
		for name, n := range u.Interface().(map[string]int64) {
			t.Interface().(map[string]int64)[name] += n
		}
	case reflect.Pointer:
		hist, is := t.Interface().(*Hist)
		switch {
		case u.IsNil():
		case t.IsNil():
			t.Set(u)
		case is:
			hist.Merge(u.Interface().(*Hist))
		default:
			add(t.Elem(), u.Elem())
		}
	}
}

// PingTally is what became of the pings. Those of several workers add up.
type PingTally struct {
	Sent       int64 `json:"sent"`
	Refused    int64 `json:"refused"`    // answered with an error
	Unanswered int64 `json:"unanswered"` // counted in Latency with the time that they were waited for
	Latency    *Hist `json:"latency"`    // from due until the answer was read
}

// Places is the order in which clients got messages: how often each client was first
// and last, and its mean rank (0: always first, 1: always last). It counts only
// messages that reached every client.
type Places struct {
	Messages    int64     `json:"messages"`
	Overlapping int64     `json:"overlapping"` // messages left out because the one before was still under way
	First       []int64   `json:"first"`
	Last        []int64   `json:"last"`
	Mean        []float64 `json:"mean"`
	Spread      *Hist     `json:"spread"` // from the first client's arrival to the last one's
}

// ChurnTally is what became of the clients that left. Those of several workers add up.
type ChurnTally struct {
	ChurnCounts
	Leave  *Hist `json:"leave"` // from when a client was due to leave until the gateway confirmed it
	Return *Hist `json:"return"`
}

// ChurnCounts are the numbers of a ChurnTally.
type ChurnCounts struct {
	Clients  int   `json:"clients"`
	Left     int64 `json:"left"`
	Returned int64 `json:"returned"`
	Skipped  int64 `json:"skipped"` // times that a client was still away when its turn came
	After    int64 `json:"after"`   // messages to a client after the gateway had confirmed that it left
}

// Stall is what clients that had stopped reading found when they read again.
type Stall struct {
	Clients  int     `json:"clients"`
	Seconds  float64 `json:"seconds"`
	Gone     int     `json:"gone"`     // connections that ended meanwhile
	Received int64   `json:"received"` // bytes in their receive buffers, all clients together
	MostRecv int64   `json:"most_received"`
	// Unsent is what the gateway's kernel held for them in its send buffers. It is -1 if
	// the gateway is not on this machine.
	Unsent     int64 `json:"unsent"`
	MostUnsent int64 `json:"most_unsent"`
}

// StormTally is how the clients of a worker came back. Those of several workers add up.
type StormTally struct {
	Clients int   `json:"clients"`
	Back    int   `json:"back"`
	At      int64 `json:"at" sum:"most"`   // CLOCK_MONOTONIC
	Last    int64 `json:"last" sum:"most"` // when the last client was back
	// Handshake runs from when a client was due to come back until it was in its rooms.
	// It includes the bench's own delay and all further attempts.
	Handshake *Hist            `json:"handshake"`
	Late      *Hist            `json:"late"` // from due until dialled: the bench's own part
	Retries   int64            `json:"retries"`
	Refused   map[string]int64 `json:"refused"` // by what ended an attempt
}

// NewStormTally returns an empty StormTally.
func NewStormTally() *StormTally {
	return &StormTally{Handshake: NewHist(), Late: NewHist(), Refused: map[string]int64{}}
}

// Interval is what a worker's clients got since the previous interval.
type Interval struct {
	From    int64 `json:"from"` // CLOCK_MONOTONIC
	To      int64 `json:"to"`
	Frames  int64 `json:"frames"`
	Bytes   int64 `json:"bytes"`
	Asleep  int64 `json:"asleep"` // ns
	Latency *Hist `json:"latency"`
	Lag     *Hist `json:"lag"`
}
