package job

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

// Check returns an InputError where the fields do not go together.
func (s *Speech) Check() error {
	plain := len(s.Say) > 0 || s.Until != "" || s.After != ""
	switch s.Protocol {
	case "", Tapecast, Centrifuge, NATS:
		if plain {
			return Inputf("--say, --until and --after are for --protocol plain only")
		}
	case Plain:
	default:
		return Inputf("--protocol %q is none of %s, %s, %s and %s", s.Protocol, Tapecast, Centrifuge, NATS, Plain)
	}
	return nil
}

// Foreign reports whether the server is another one than the gateway.
func (s *Speech) Foreign() bool { return s.Protocol != "" && s.Protocol != Tapecast }
