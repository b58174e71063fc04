package bench

import "encoding/json"

// What clients speak with the server that is measured.
const (
	Tapecast   = "tapecast"   // the gateway's own protocol; the default
	Centrifuge = "centrifuge" // Centrifugo's client protocol, JSON
	NATS       = "nats"       // NATS' text protocol in binary frames
	Plain      = "plain"      // nothing but messages; Speech says the rest
)

// Speech is how clients talk to the server once they are connected to it.
type Speech struct {
	Protocol string `json:"protocol,omitempty"` // "": Tapecast

	// Of Plain: what a client sends after it has connected, a text frame each,
	// `{user}` standing for its user and `{room}` for each of its rooms in turn.
	Say []string `json:"say,omitempty"`
	// Until is a part of the message that says that a client is in. "": it is
	// once it has sent what it has to.
	Until string `json:"until,omitempty"`
	// After is what stands right before the value in a message. "": nothing but
	// the first place that looks like a value is taken.
	After string `json:"after,omitempty"`
}

func (s *Speech) check() error {
	plain := len(s.Say) > 0 || s.Until != "" || s.After != ""
	switch s.Protocol {
	case "", Tapecast, Centrifuge, NATS:
		if plain {
			return inputf("--say, --until and --after are for --protocol plain only")
		}
	case Plain:
	default:
		return inputf("--protocol %q is none of %s, %s, %s and %s", s.Protocol, Tapecast, Centrifuge, NATS, Plain)
	}
	return nil
}

// foreign says whether the server is another one than the gateway.
func (s *Speech) foreign() bool { return s.Protocol != "" && s.Protocol != Tapecast }

// speaker is one protocol on top of WebSocket, for all clients of a loop, which
// owns it.
type speaker interface {
	// opening says how client c asks for the upgrade.
	opening(c *client) opening
	// opened goes on when the upgrade stands: it sends what is to be sent, and
	// sets the client's state. Who is in is told to loop.isIn.
	opened(i int, c *client)
	// notice takes a message that holds no value where one would be.
	notice(i int, p []byte) error
}

// framer is a speaker whose data frames are not each one message with its value
// at the end, which is what the reader takes by itself.
type framer interface {
	// frame takes the payload of a data frame, and hands the values in it to
	// the reader. first: of those that one read took.
	frame(i int, p []byte, now int64, first bool) error
}

// opening is what a client's request to upgrade says.
type opening struct {
	path        string
	subprotocol string // "": none is offered
	token       string // for the header; "": none
	later       string // a token that the client keeps, to send it after the upgrade
}

func newSpeaker(l *loop) (speaker, error) {
	if err := l.job.Speech.check(); err != nil {
		return nil, err
	}
	switch l.job.Protocol {
	case Centrifuge:
		return &centrifugeSpeaker{l: l}, nil
	case NATS:
		return &natsSpeaker{l: l, tails: map[int][]byte{}}, nil
	case Plain:
		return &plainSpeaker{l: l}, nil
	}
	if l.job.Observe {
		return newObserver(l), nil
	}
	return &tapecastSpeaker{l: l}, nil
}

// quoted is v as JSON.
func quoted(v string) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: strings that make no JSON: " + err.Error())
	}
	return string(b)
}
