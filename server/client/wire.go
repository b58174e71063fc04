package client

// What goes over the socket, as /asyncapi.json has it. A test holds these types to its schemas. Messages, errors and
// positions are in api.go, frames in conn.go, and answers about rooms in hear.go.

// request is what the gateway is asked.
type request struct {
	ID     uint64 `json:"id"`
	Method string `json:"method"`
	Params any    `json:"params,omitempty"`
}

type authenticateParams struct {
	Token     *string  `json:"token,omitempty"`
	Anonymous bool     `json:"anonymous,omitempty"`
	Join      []string `json:"join,omitzero"` // empty: none, in place of the configured rooms
}

type subscribeParams struct {
	Rooms    []string       `json:"rooms"`
	Since    map[string]any `json:"since,omitempty"`
	Keys     []string       `json:"keys,omitzero"`
	MaxRate  float64        `json:"max_rate,omitzero"`
	Snapshot *bool          `json:"snapshot,omitempty"`
}

type unsubscribeParams struct {
	Rooms []string `json:"rooms"`
}

// identity is the answer to authenticate.
type identity struct{ MaxMessage int }

// roomList is the answer to subscribe.
type roomList struct{ Rooms []answer }

type leftNotice struct {
	Code    int
	Message string
	Rooms   []struct{ Room string }
}

type limitNotice struct{ Pattern, Room string }

type gapNotice struct {
	Room     string
	From, To *Positions
}

type resetNotice struct{ Room, Epoch string }

type snapshotBeginNotice struct{ Room string }

type snapshotEndNotice struct {
	Room      string
	Positions *Positions
}

// retry is the data of an error that passes.
type retry struct{ RetryAfter float64 }
