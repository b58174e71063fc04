package bench

import (
	"context"
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
	p, err := client.New(client.Job{Endpoint: e.Endpoint})
	if err != nil {
		return err
	}
	var rooms []string
	for _, room := range c.Rooms {
		room = strings.ReplaceAll(room, "{key}", job.KeyName(0))
		rooms = append(rooms, strings.ReplaceAll(room, "{user}", job.UserName(0)))
	}
	token, err := job.NewSigner(c.Target.Keys).Sign(job.UserName(0))
	if err != nil {
		return err
	}
	without, err := unchained(ctx, p, token, rooms)
	switch {
	case err != nil:
		return nil // the clients that join will report it better
	case len(without) > 0:
		return job.Inputf("--resume: members of %s are sent only the newest message of each key: the bench cannot "+
			"know which they should have got; leave --resume out, or take a room whose class does not conflate",
			strings.Join(without, ", "))
	}
	return nil
}

// unchained returns those of the rooms whose members the gateway does not promise every message.
func unchained(ctx context.Context, p *client.Dialer, token string, rooms []string) (without []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, client.OpenPatience)
	defer cancel()
	c, err := p.Connect(ctx, 0, token)
	if err != nil {
		return nil, err
	}
	m, err := c.Ask(proto.EntryID, proto.JoinRequest, rooms...)
	for _, r := range m.Result.Rooms {
		if r.Chain != nil && !*r.Chain {
			without = append(without, r.Room)
		}
	}
	return without, err
}
