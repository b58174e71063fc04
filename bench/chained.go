package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// checkChained refuses clients that resume in rooms whose members are sent the newest of
// each key: nobody can say which messages they should have got.
func (c *FanoutConfig) checkChained(ctx context.Context, e endpoint) error {
	if (c.Storm == nil || !c.Storm.Resume) && (c.Churn == nil || !c.Churn.Resume) {
		return nil
	}
	p, err := newPeer(peerJob{Addr: e.addr, Host: e.host, Path: e.path, TLS: e.tls, CA: c.Target.CA})
	if err != nil {
		return err
	}
	var rooms []string
	for _, room := range c.Rooms {
		room = strings.ReplaceAll(room, "{key}", keyName(0))
		rooms = append(rooms, strings.ReplaceAll(room, "{user}", userName(0)))
	}
	sign := newSigner(c.Target.Keys)
	token, err := sign.sign(userName(0))
	if err != nil {
		return err
	}
	without, err := p.unchained(ctx, token, rooms)
	switch {
	case err != nil:
		return nil // whatever it is, the clients that join tell it better
	case len(without) > 0:
		return inputf("--resume: members of %s are sent the newest of each key, and may be spared the others: "+
			"what they should have got is not known; leave --resume out, or take a room whose class does not conflate",
			strings.Join(without, ", "))
	}
	return nil
}

// unchained are those of the rooms whose members the gateway does not promise each message.
func (p *peer) unchained(ctx context.Context, token string, rooms []string) (without []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	raw, err := p.dial(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }() // all that is wanted of it was read
	c, err := p.open(ctx, raw, token)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	ask := fmt.Appendf(nil, joinRequest, list(rooms), entryID)
	if _, err := c.Write(appendFrame(nil, opText, ask, maskKey())); err != nil {
		return nil, err
	}
	for {
		op, b, err := c.next()
		if err != nil || op == opClose {
			return nil, fmt.Errorf("cannot join: %s", endOf(op, b, err))
		}
		var m struct {
			ID     json.RawMessage `json:"id"`
			Result struct {
				Rooms []struct {
					Room  string `json:"room"`
					Chain *bool  `json:"chain"` // nil: not said
				} `json:"rooms"`
			} `json:"result"`
		}
		if op != opText || json.Unmarshal(b, &m) != nil || string(m.ID) != fmt.Sprint(entryID) {
			continue
		}
		for _, r := range m.Result.Rooms {
			if r.Chain != nil && !*r.Chain {
				without = append(without, r.Room)
			}
		}
		return without, nil
	}
}

// walked says that client i is being sent the last values of a room, or no longer is:
// these are messages from before it came, and nothing that it should have got.
func (r *reader) walked(i int, room string, begins bool) {
	if r.walks == nil {
		r.walks = map[int]map[string]bool{}
	}
	switch {
	case begins && r.walks[i] == nil:
		r.walks[i] = map[string]bool{room: true}
	case begins:
		r.walks[i][room] = true
	case len(r.walks[i]) > 1:
		delete(r.walks[i], room)
	default:
		delete(r.walks, i)
	}
}

// isWalked reports whether the message p, of client i, is such a last value.
func (r *reader) isWalked(i int, p []byte) bool {
	rooms := r.walks[i]
	if len(rooms) == 0 {
		return false
	}
	room, ok := member(p[:min(len(p), 512)], `{"room":"`)
	return ok && rooms[string(room)]
}
