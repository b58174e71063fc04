package worker

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// speaking is a loop with one client. The test holds the client's other end.
type speaking struct {
	t     testing.TB
	l     *loop
	other int
}

func newSpeaking(t testing.TB, s job.Speech, rooms ...string) *speaking {
	t.Helper()
	l, err := newLoop(job.Job{Endpoint: job.Endpoint{Addr: "127.0.0.1:1", Path: "/p"}, Clients: 1, Size: 128,
		Rooms: rooms, Speech: s, Keys: job.Keys{Token: "tok"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close(); _ = unix.Close(pair[1]) })
	c := &l.clients[0]
	c.fd, c.state, c.token, l.dialing = int32(pair[0]), stUpgrading, "tok", 1
	return &speaking{t, l, pair[1]}
}

// said returns the texts that the client has sent since the last call.
func (s *speaking) said() string {
	s.t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Read(s.other, buf)
	if err != nil {
		return ""
	}
	var out []string
	for b := buf[:n]; len(b) > 0; {
		size, head := int(b[1]&127), 6
		if size == 126 {
			size, head = int(b[2])<<8|int(b[3]), 8
		}
		p := b[head : head+size]
		for i := range p {
			p[i] ^= b[head-4+i&3]
		}
		out = append(out, string(p))
		b = b[head+size:]
	}
	return strings.Join(out, "|")
}

func (s *speaking) get(op byte, p string) error {
	_, err := s.l.reader.read(0, proto.AppendServerFrame(nil, op, []byte(p)), 2e18)
	return err
}

func (s *speaking) want(what string, got, want any) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// run starts a run and returns its n-th value.
func (s *speaking) run(streams int64) func(n int64) string {
	sched, err := job.NewSchedule(1e18, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	s.l.reader.feeds = nil
	s.l.reader.start(job.Timing{FeedTiming: job.FeedTiming{Schedule: sched}},
		newTally(1, &job.Assignment{Streams: streams}, 0))
	return func(n int64) string { return string(s.l.reader.shape.Make(nil, sched.Due(n), n)) }
}

func TestSpeakCentrifuge(t *testing.T) {
	s := newSpeaking(t, job.Speech{Protocol: job.Centrifuge}, "a", "b:{user}")
	c := &s.l.clients[0]
	o := s.l.speaker.opening(c)
	s.want("token in the header", o.token, "")
	s.want("subprotocol", o.subprotocol, "centrifuge-json")
	c.token = o.later
	s.l.speaker.opened(0, c)
	s.want("connect", s.said(), `{"id":1,"connect":{"token":"tok"}}`)
	f := func(text, said string, st state) {
		t.Helper()
		if err := s.get(proto.OpText, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		s.want(text, s.said(), said)
		s.want(text, c.state, st)
	}
	f(`{"id":1,"connect":{"client":"x","ping":25,"pong":true}}`, `{"id":2,"subscribe":{"channel":"a"}}`, stEntering)
	f(`{"id":2,"subscribe":{}}`+"\n{}", `{"id":3,"subscribe":{"channel":"b:`+job.UserName(0)+`"}}|{}`, stEntering)
	f(`{"id":3,"subscribe":{}}`, "", stJoined)
	f(`{}`, "{}", stJoined)
	value := s.run(1)
	f(`{"push":{"channel":"a","pub":{"data":`+value(0)+`}}}`, "", stJoined)
	f(`{"push":{"channel":"a","pub":{"data":`+value(1)+`,"offset":7}}}`+"\n"+`{"push":{"channel":"a","pub":{"data":`+
		value(2)+`}}}`+"\n{}\n", "{}", stJoined)
	f(`{"push":{"channel":"a","join":{"info":{}}}}`, "", stJoined)
	s.want("messages", s.l.reader.tally.unique, int64(3))
	s.want("others", s.l.reader.others, int64(1))
	if err := s.get(proto.OpText, `{"push":{"channel":"a","pub":{"data":{"x":1}}}}`); !errors.Is(err, errTorn) {
		t.Errorf("a foreign value: %v", err)
	}
	if err := s.get(proto.OpText, `{"push":{"channel":"a","unsubscribe":{"code":2500,"reason":"r"}}}`); err == nil {
		t.Error("unsubscribed without an error")
	}
}

func TestSpeakCentrifugeRefused(t *testing.T) {
	s := newSpeaking(t, job.Speech{Protocol: job.Centrifuge}, "a")
	s.l.speaker.opened(0, &s.l.clients[0])
	err := s.get(proto.OpText, `{"id":1,"error":{"code":101,"message":"unauthorized"}}`)
	if err == nil || !strings.Contains(err.Error(), "unauthorized (101)") {
		t.Errorf("%v", err)
	}
}

func TestSpeakNATS(t *testing.T) {
	s := newSpeaking(t, job.Speech{Protocol: job.NATS}, "a", "b")
	c := &s.l.clients[0]
	s.l.speaker.opened(0, c)
	f := func(text, said string, st state) {
		t.Helper()
		if err := s.get(proto.OpBinary, text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := s.said(); said != got && (said == "" || !strings.HasSuffix(got, said)) {
			t.Errorf("%q: said %q, want %q", text, got, said)
		}
		s.want(text, c.state, st)
	}
	f("INFO {\"max_payload\":1}\r\n", "SUB a 1\r\nSUB b 2\r\nPING\r\n", stEntering)
	f("PONG\r\n", "", stJoined)
	f("PING\r\n", "PONG\r\n", stJoined)
	value := s.run(1)
	msg := func(n int64) string { return fmt.Sprintf("MSG a 1 128\r\n%s\r\n", value(n)) }
	f(msg(0), "", stJoined)
	f(msg(1)+"PING\r\n"+msg(2), "PONG\r\n", stJoined)
	both := msg(3) + msg(4)
	for _, cut := range []int{1, 9, 40, len(both) - 1} { // a message continues in the next frame
		f(both[:cut], "", stJoined)
		f(both[cut:], "", stJoined)
		s.l.reader.tally.next[0] = 3
	}
	s.want("messages", s.l.reader.frames, int64(3+4*2))
	if len(s.l.speaker.(*natsSpeaker).tails) != 0 {
		t.Error("a tail is left")
	}
	if err := s.get(proto.OpBinary, "MSG a 1 3\r\n{}.\r\n"); !errors.Is(err, errTorn) {
		t.Errorf("a foreign value: %v", err)
	}
	if err := s.get(proto.OpBinary, "-ERR 'Authorization Violation'\r\n"); err == nil ||
		!strings.Contains(err.Error(), "Authorization") {
		t.Errorf("-ERR: %v", err)
	}
}

func TestParseNATSBad(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if op, used, err := parseNATS([]byte(text), 1000); err == nil {
			t.Errorf("%.40q: %+v, %d bytes", text, op, used)
		}
	}
	f("HELLO\r\n")
	f("MSG a 1 x\r\n")
	f("MSG a 1 \r\n")
	f("MSG 5\r\n")
	f("MSG a 1 1001\r\n")
	f("MSG a 1 99999999999999999999\r\n")
	f("MSG a 1 2\r\nabcd\r\n")
	f(strings.Repeat("x", maxNATSLine+1))
}

func TestSpeakPlain(t *testing.T) {
	s := newSpeaking(t, job.Speech{Protocol: job.Plain, Say: []string{`hello {user}`, `sub {room}`}, Until: "welcome",
		After: `"v":`}, "a", "b")
	c := &s.l.clients[0]
	s.want("token", s.l.speaker.opening(c).token, "tok")
	s.l.speaker.opened(0, c)
	s.want("said", s.said(), "hello "+job.UserName(0)+"|sub a|sub b")
	s.want("state", c.state, stEntering)
	for _, text := range []string{"hold on", "you are welcome"} {
		if err := s.get(proto.OpText, text); err != nil {
			t.Fatal(err)
		}
	}
	s.want("state", c.state, stJoined)
	value := s.run(1)
	// the last value is not where it should be
	for _, text := range []string{`{"v":` + value(0) + `,"more":1}`, `{"w":1}`, value(1)} {
		if err := s.get(proto.OpText, text); err != nil {
			t.Fatal(err)
		}
	}
	s.want("messages", s.l.reader.tally.unique, int64(1))

	s = newSpeaking(t, job.Speech{Protocol: job.Plain}, "a")
	s.l.speaker.opened(0, &s.l.clients[0])
	s.want("state", s.l.clients[0].state, stJoined)
	value = s.run(1)
	if err := s.get(proto.OpText, `[1,`+value(0)+`]`); err != nil {
		t.Fatal(err)
	}
	s.want("messages", s.l.reader.tally.unique, int64(1))
}

func TestSpeechCheck(t *testing.T) {
	var input *job.InputError
	for _, s := range []job.Speech{{Protocol: "mqtt"}, {Say: []string{"x"}}, {Protocol: job.NATS, Until: "x"}} {
		if err := s.Check(); !errors.As(err, &input) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// FuzzParseNATS: what is taken is within bounds, and does not depend on where the stream was
// cut.
func FuzzParseNATS(f *testing.F) {
	f.Add([]byte("INFO {}\r\nMSG a 1 2\r\nab\r\nPING\r\n"), 7)
	f.Add([]byte("MSG a 1 reply 0\r\n\r\n-ERR 'x'\r\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		const limit = 4096
		op, used, err := parseNATS(b, limit)
		if used < 0 || used > len(b) || len(op.payload) > limit || err != nil && used != 0 {
			t.Fatalf("%+v, %d, %v", op, used, err)
		}
		if used == 0 {
			return
		}
		// Less than all of it is incomplete or refused, and never another operation.
		if cut = max(0, min(cut, used-1)); cut < used {
			if _, n, _ := parseNATS(b[:cut], limit); n != 0 {
				t.Fatalf("%d of %d bytes are an operation already", cut, used)
			}
		}
		again, n, err := parseNATS(append(bytes.Clone(b[:used]), "PING\r\n"...), limit)
		if err != nil || n != used || again.name != op.name || !bytes.Equal(again.payload, op.payload) {
			t.Fatalf("%+v, %d, %v; first %+v", again, n, err, op)
		}
	})
}

// FuzzSpeakers: every input ends in a message, a notice or an error.
func FuzzSpeakers(f *testing.F) {
	f.Add([]byte(`{"id":1,"connect":{"pong":true}}`), true)
	f.Add([]byte(`{"push":{"channel":"a","pub":{"data":{"t":1000000000000000000,"n":1000000000}}}}`), true)
	f.Add([]byte("MSG a 1 2\r\n{}\r\nPING\r\n"), true)
	f.Add([]byte("{}\n{}\n\n"), false)
	var all []*speaking
	for _, p := range []string{job.Centrifuge, job.NATS, job.Plain} {
		all = append(all, newSpeaking(f, job.Speech{Protocol: p}, "a"))
	}
	f.Fuzz(func(t *testing.T, b []byte, started bool) {
		for _, s := range all {
			s.t, s.l.reader.started = t, false
			if started {
				s.run(1)
			}
			s.l.clients[0].state = stEntering
			before := s.l.reader.frames
			used, _ := s.l.reader.read(0, proto.AppendServerFrame(nil, proto.OpText, b), 2e18)
			if used < 0 || s.l.reader.frames > before+int64(len(b)/128) {
				t.Fatalf("%q: %d used, %d messages", b, used, s.l.reader.frames-before)
			}
			if n, ok := s.l.speaker.(*natsSpeaker); ok {
				clear(n.tails)
			}
			s.said()
		}
	})
}
