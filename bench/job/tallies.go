package job

// PingTally is what became of the pings. Those of several workers add up.
type PingTally struct {
	Sent       int64 `json:"sent"`
	Refused    int64 `json:"refused"`    // answered with an error
	Unanswered int64 `json:"unanswered"` // counted in Latency with the time that they were waited for
	Latency    *Hist `json:"latency"`    // from due until the answer was read
}

// NewPingTally returns an empty PingTally.
func NewPingTally() *PingTally { return &PingTally{Latency: NewHist()} }

// Merge adds another worker's figures.
func (t *PingTally) Merge(u *PingTally) {
	t.Sent += u.Sent
	t.Refused += u.Refused
	t.Unanswered += u.Unanswered
	t.Latency.Merge(u.Latency)
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

// NewChurnTally returns an empty ChurnTally.
func NewChurnTally() *ChurnTally { return &ChurnTally{Leave: NewHist(), Return: NewHist()} }

// Merge adds another worker's figures.
func (t *ChurnTally) Merge(u *ChurnTally) {
	t.Clients += u.Clients
	t.Left += u.Left
	t.Returned += u.Returned
	t.Skipped += u.Skipped
	t.After += u.After
	t.Leave.Merge(u.Leave)
	t.Return.Merge(u.Return)
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
	At      int64 `json:"at"`   // CLOCK_MONOTONIC
	Last    int64 `json:"last"` // when the last client was back
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

// Merge adds another worker's figures.
func (t *StormTally) Merge(u *StormTally) {
	t.Clients += u.Clients
	t.Back += u.Back
	t.At, t.Last = u.At, max(t.Last, u.Last)
	t.Handshake.Merge(u.Handshake)
	t.Late.Merge(u.Late)
	t.Retries += u.Retries
	AddCounts(t.Refused, u.Refused)
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
