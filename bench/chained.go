package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// checkChained refuses clients that resume in rooms whose members are sent only the newest
// message of each key. There the bench cannot know which messages they should have got.
func (c *FanoutConfig) checkChained(ctx context.Context, e Endpoint) error {
	if (c.Storm == nil || !c.Storm.Resume) && (c.Churn == nil || !c.Churn.Resume) {
		return nil
	}
	p, err := client.New(c.Target.ClientJob(e))
	if err != nil {
		return err
	}
	var rooms []string
	for _, room := range c.Rooms {
		room = strings.ReplaceAll(room, "{key}", job.KeyName(0))
		rooms = append(rooms, strings.ReplaceAll(room, "{user}", job.UserName(0)))
	}
	sign := job.NewSigner(c.Target.Keys)
	token, err := sign.Sign(job.UserName(0))
	if err != nil {
		return err
	}
	without, err := unchained(ctx, p, token, rooms)
	switch {
	case err != nil:
		return nil // the clients that join will report it better
	case len(without) > 0:
		return job.Inputf("--resume: members of %s are sent only the newest message of each key: "+
			"the bench cannot know which they should have got; leave --resume out, or take a room whose class does "+
			"not "+
			"conflate", strings.Join(without, ", "))
	}
	return nil
}

// unchained returns those of the rooms whose members the gateway does not promise every message.
func unchained(ctx context.Context, p *client.Dialer, token string, rooms []string) (without []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, client.OpenPatience)
	defer cancel()
	raw, err := p.Dial(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }() // all that is needed was read
	c, err := p.Open(ctx, raw, token)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	ask := fmt.Appendf(nil, proto.JoinRequest, proto.List(rooms), proto.EntryID)
	if _, err := c.Write(proto.AppendFrame(nil, proto.OpText, ask, proto.MaskKey())); err != nil {
		return nil, err
	}
	for {
		op, b, err := c.Next()
		if err != nil || op == proto.OpClose {
			return nil, fmt.Errorf("cannot join: %s", client.EndOf(op, b, err))
		}
		var m struct {
			ID     json.RawMessage `json:"id"`
			Result struct {
				Rooms []struct {
					Room  string `json:"room"`
					Chain *bool  `json:"chain"` // nil: the gateway does not say
				} `json:"rooms"`
			} `json:"result"`
		}
		if op != proto.OpText || json.Unmarshal(b, &m) != nil || string(m.ID) != fmt.Sprint(proto.EntryID) {
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
