package worker

import "tapecast/bench/job"

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
	if err := l.job.Speech.Check(); err != nil {
		return nil, err
	}
	switch l.job.Protocol {
	case job.Centrifuge:
		return &centrifugeSpeaker{l: l}, nil
	case job.NATS:
		return &natsSpeaker{l: l, tails: map[int][]byte{}}, nil
	case job.Plain:
		return &plainSpeaker{l: l}, nil
	}
	if l.job.Observe {
		return newObserver(l), nil
	}
	return &tapecastSpeaker{l: l}, nil
}
