package scenario

import (
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/gobwas/ws"
)

// Driver is a client under test, with an application around it.
type Driver interface {
	// Do carries out a command, and returns its answer, what the application saw since the last one,
	// and how many connections the client has asked for since the command "reset", which comes first
	// and forgets the scenario before. Besides those of the file there are "settle", which does
	// nothing, and "ended", which returns when the connection of that number has ended.
	Do(command string, arg any) (answer any, saw []any, sockets int, err error)
}

// play is one scenario under way. It belongs to the goroutine of Play.
type play struct {
	d       Driver
	gateway *gateway
	link    *link
	taken   int // connections that were accepted or refused
	asked   int // connections that the client asked for
	saw     []any
	token   any
}

// verbs are the steps there are. Those without a function are commands for the Driver.
var verbs = map[string]func(p *play, verb string, arg any) error{
	"connect": (*play).connect, "page": nil, "room": nil, "loaded": nil, "leave": nil, "call": nil, "close": nil,
	"token": (*play).setToken, "random": nil, "time": nil, "sleep": nil, "event": nil,
	"accept": (*play).accept, "welcome": (*play).welcome, "refuse": (*play).refuse,
	"get": (*play).get, "reply": (*play).reply, "error": (*play).reply, "send": (*play).send,
	"cut": (*play).end, "end": (*play).end, "gone": (*play).gone,
	"binary": (*play).binary, "see": (*play).see, "nothing": (*play).nothing, "state": (*play).compare,
	"last": (*play).compare, "positions": (*play).compare, "rooms": (*play).compare,
}

// Play plays one scenario. The error names the line of the step that failed.
func Play(s Scenario, d Driver) error {
	g, err := listen()
	if err != nil {
		return err
	}
	defer g.Close()
	p := &play{d: d, gateway: g, token: "t1"}
	defer func() {
		if p.link != nil {
			_ = p.link.Close()
		}
	}()
	if err := p.command("reset", nil); err != nil {
		return err
	}
	for _, step := range s.Steps {
		do := verbs[step.Verb]
		if do == nil {
			do = (*play).command
		}
		if err := do(p, step.Verb, step.Arg); err != nil {
			return fmt.Errorf("line %d, %s: %w", step.Line, step.Verb, err)
		}
	}
	if err := p.nothing("", nil); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// command has the client read all that was sent, and then gives the Driver a command.
func (p *play) command(verb string, arg any) error {
	_, err := p.do(verb, arg)
	return err
}

func (p *play) do(verb string, arg any) (any, error) {
	if p.link != nil {
		if err := p.link.barrier(); err != nil {
			return nil, err
		}
	}
	answer, saw, sockets, err := p.d.Do(verb, arg)
	p.saw, p.asked = append(p.saw, saw...), sockets
	return answer, err
}

func (p *play) connect(verb string, arg any) error {
	options, _ := arg.(map[string]any)
	if options = maps.Clone(options); options == nil {
		options = map[string]any{}
	}
	options["url"] = "ws://" + p.gateway.Addr().String() + "/ws"
	if options["anonymous"] == true {
		p.token = nil
	}
	return p.command(verb, options)
}

func (p *play) setToken(verb string, arg any) error {
	p.token = arg
	return p.command(verb, arg)
}

func (p *play) accept(string, any) error {
	if p.link != nil {
		return errors.New("the scenario has a connection already")
	}
	c, err := p.gateway.next()
	if err != nil {
		return err
	}
	p.taken++
	p.link, err = upgrade(c)
	return err
}

// welcome accepts a connection and lets the client in, up to the first message about rooms.
func (p *play) welcome(string, any) error {
	who := map[string]any{"token": p.token}
	if p.token == nil {
		who = map[string]any{"anonymous": true}
	}
	who["join"] = []any{}
	result := map[string]any{"clientId": "c", "userId": "42", "expires": 1699123456.0, "maxMessage": 262144.0}
	joined := map[string]any{"globalRooms": []any{}, "userRooms": []any{}, "positions": map[string]any{}}
	return errors.Join(
		p.accept("", nil),
		p.send("", map[string]any{"auth_required": map[string]any{"timeout": 10000, "maxMessage": 65536}}),
		p.get("", map[string]any{"authenticate": who}),
		p.reply("reply", result),
		p.send("", map[string]any{"auto_subscribed": joined}),
	)
}

func (p *play) refuse(_ string, arg any) error {
	how, _ := arg.(map[string]any)
	status, _ := how["status"].(float64)
	after, _ := how["retryAfter"].(float64)
	c, err := p.gateway.next()
	if err != nil {
		return err
	}
	if err := refuse(c, int(status), after); err != nil {
		return err
	}
	p.taken++
	return p.command("ended", p.taken-1)
}

// get takes the client's next message: its method, and exactly these params. Params that are empty
// may be left out.
func (p *play) get(_ string, arg any) error {
	if p.link == nil {
		return errors.New("there is no connection")
	}
	if err := p.command("settle", nil); err != nil {
		return err
	}
	m, err := p.link.get()
	if err != nil {
		return err
	}
	p.link.id = m["id"]
	params, _ := m["params"].(map[string]any)
	got := map[string]any{fmt.Sprint(m["method"]): full(params)}
	for method, want := range arg.(map[string]any) {
		params, _ := want.(map[string]any)
		if want := map[string]any{method: full(params)}; !has(got, want) || !has(want, got) {
			return fmt.Errorf("the client sends %v, not %v", m, arg)
		}
	}
	return nil
}

// full returns params without what is empty; join may be.
func full(params map[string]any) map[string]any {
	params = maps.Clone(params)
	maps.DeleteFunc(params, func(name string, v any) bool {
		o, ok := v.(map[string]any)
		return v == nil || ok && len(o) == 0
	})
	return params
}

// reply answers the request that was got last, with a result or an error.
func (p *play) reply(verb string, arg any) error { return p.link.send(answerTo(p.link.id, verb, arg)) }

// send sends a message of a room as it is, or a notice given as {method: params}.
func (p *play) send(_ string, arg any) error { return p.link.send(sent(arg)) }

// binary sends a binary frame.
func (p *play) binary(_ string, arg any) error {
	return ws.WriteFrame(p.link, ws.NewBinaryFrame([]byte(fmt.Sprint(arg))))
}

// end closes the connection with a code, or cuts it off without a word.
func (p *play) end(_ string, arg any) error {
	if err := p.command("settle", nil); err != nil {
		return err
	}
	l := p.link
	p.link = nil
	if how, ok := arg.(map[string]any); ok {
		code, _ := how["code"].(float64)
		reason, _ := how["reason"].(string)
		if err := ws.WriteFrame(l, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason))); err != nil {
			return err
		}
		for range l.in { // until the client has answered it
		}
	}
	if err := l.Close(); err != nil {
		return err
	}
	return p.command("ended", p.taken-1)
}

// gone waits until the client has closed the connection.
func (p *play) gone(string, any) error {
	l := p.link
	p.link = nil
	return l.gone()
}

// see takes the next thing that the application saw.
func (p *play) see(_ string, arg any) error {
	if err := p.command("settle", nil); err != nil {
		return err
	}
	if len(p.saw) == 0 {
		return fmt.Errorf("the application sees nothing, not %v", arg)
	}
	saw := p.saw[0]
	p.saw = p.saw[1:]
	if !has(saw, arg) {
		return fmt.Errorf("the application sees %v, not %v", saw, arg)
	}
	return nil
}

// compare asks the Driver for the state of the connection, or the last values or positions of a
// room. Those of a room must be exactly these.
func (p *play) compare(verb string, arg any) error {
	if verb == "state" {
		if word, ok := arg.(string); ok {
			arg = map[string]any{"is": word}
		}
		got, err := p.do(verb, nil)
		if err == nil && !has(got, arg) {
			err = fmt.Errorf("it is %v, not %v", got, arg)
		}
		return err
	}
	for room, want := range arg.(map[string]any) {
		got, err := p.do(verb, room)
		if err == nil && !reflect.DeepEqual(got, want) {
			err = fmt.Errorf("those of %s are %v, not %v", room, got, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nothing finds that the application saw nothing more, and that the client asks for nothing.
func (p *play) nothing(string, any) error {
	if err := p.command("settle", nil); err != nil {
		return err
	}
	if len(p.saw) > 0 {
		return fmt.Errorf("the application sees %v", p.saw)
	}
	if p.asked != p.taken {
		return fmt.Errorf("the client asks for %d connections, not %d", p.asked, p.taken)
	}
	if p.link == nil {
		return nil
	}
	if err := p.link.barrier(); err != nil {
		return err
	}
	select {
	case m := <-p.link.in:
		return fmt.Errorf("the client sends %v", m)
	default:
		return nil
	}
}
