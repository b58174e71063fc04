package bench

import (
	"cmp"
	"context"
	"strings"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
)

// Validate fills in defaults, and returns an error if the fanout cannot be run.
func (c *FanoutConfig) Validate() error {
	c.setDefaults()
	if err := c.Target.Speech.Check(); err != nil {
		return err
	}
	for _, check := range []func() error{c.checkClients, c.checkOthers, c.checkMessages, c.checkParts} {
		if err := check(); err != nil {
			return err
		}
	}
	return c.Target.CheckDescriptors(c.Clients, c.Procs)
}

func (c *FanoutConfig) setDefaults() {
	c.Scenario = cmp.Or(c.Scenario, "fanout")
	c.Procs = max(c.Procs, 1, len(c.Target.Agents.Addrs))
	c.Keys = max(c.Keys, 1)
	c.fromDemo()
	if c.Group > 0 && c.PerRoom > 0 {
		c.Rate = c.PerRoom * float64(c.groups())
	}
	c.Drain = cmp.Or(c.Drain, 30*time.Second)
	c.settle = cmp.Or(c.settle, time.Second)
	if c.start == nil {
		c.start = machine.StartLast
	}
	c.OrdersClients = cmp.Or(c.OrdersClients, 50)
	c.OrdersRoom = cmp.Or(c.OrdersRoom, "orders:{user}")
	c.SlowRate = cmp.Or(c.SlowRate, 4096)
	if c.StallFor == 0 {
		c.StallFor = c.Duration + time.Second // still stalled when the gateway's memory is last read
	}
}

func (c *FanoutConfig) checkClients() error {
	switch {
	case c.Template != "" && (c.Replay != nil || c.Baseline || c.Target.Foreign()):
		return job.Inputf("--value-template cannot be combined with a recording, --baseline or --protocol")
	case c.Target.Foreign() && (c.AutoJoin || c.Deflate || c.Bare || c.Filtered > 0 || c.Baseline):
		return job.Inputf("--auto-join, --deflate, --bare, --filtered and --baseline need tapecast: leave them out "+
			"with --protocol %s", c.Target.Protocol)
	case c.Clients < 1:
		return job.Inputf("--clients %d: at least one is needed", c.Clients)
	case c.Clients < c.Procs:
		return job.Inputf("--procs %d is more than --clients %d", c.Procs, c.Clients)
	case len(c.Rooms) == 0:
		return job.Inputf("--rooms names no room")
	case c.Duration < time.Second:
		return job.Inputf("--duration %s: at least one second is needed to measure the gateway's CPU time",
			c.Duration)
	case c.Group < 0 || c.Group > 0 && (len(c.Rooms) != 1 || !strings.ContainsAny(c.Rooms[0], "{")):
		return job.Inputf("--group %d: each group has a room: give one with {key} or, for groups of one, {user} in "+
			"its name", c.Group)
	case c.Group > 0 && (c.AutoJoin || c.Baseline || c.Filtered > 0 || c.Keys > 1):
		return job.Inputf("--group cannot be combined with --auto-join, --baseline, --filtered or --keys")
	case c.Group == 0 && c.Replay == nil && strings.Contains(strings.Join(c.Rooms, ""), "{"):
		return job.Inputf("--rooms %s: {key} and {user} need --group", strings.Join(c.Rooms, ","))
	}
	return nil
}

// checkOthers checks what happens beside the main feed and its clients.
func (c *FanoutConfig) checkOthers() error {
	switch {
	case len(c.Feeds) >= job.MaxFeeds:
		return job.Inputf("%d feeds are more than %d", len(c.Feeds)+1, job.MaxFeeds)
	case len(c.Feeds) > 0 && (c.Bare || c.Baseline):
		return job.Inputf("several feeds cannot be combined with --bare or --baseline")
	case c.Bare && len(c.Rooms) > 1:
		return job.Inputf("--bare with %d rooms: a connection may be in only one bare room", len(c.Rooms))
	case c.Filtered < 0 || c.Filtered > 0 && c.Keys < 2:
		return job.Inputf("--filtered %d: it needs --keys of two or more, over Kafka", c.Filtered)
	case c.Paired && c.Stalled+c.Slow == 0:
		return job.Inputf("--paired compares runs with and without stalled clients: give --stalled")
	case c.Slow < 0 || c.SlowRate < 1:
		return job.Inputf("--slow %d at --slow-rate %d: the number cannot be negative, and the rate is at least 1",
			c.Slow, c.SlowRate)
	case c.Stalled+c.Slow > 0 && strings.Contains(strings.Join(c.Rooms, ""), "{user}"):
		return job.Inputf("--stalled and --slow are further clients: no message goes to their own {user} rooms")
	case c.RawBatch < 0 || c.RawBatch > 1 && !c.Baseline:
		return job.Inputf("--baseline-batch %d: it must be at least 1, and needs --baseline", c.RawBatch)
	case c.Paired && c.Baseline:
		return job.Inputf("both --paired and --baseline are given: keep one")
	case c.OrdersRate > 0 && !c.Target.Direct && c.OrdersTopic == "":
		return job.Inputf("--orders over Kafka needs --orders-topic, whose records are routed by their key")
	}
	return nil
}

func (c *FanoutConfig) checkMessages() error {
	if c.Replay != nil {
		if err := c.Replay.check(c); err != nil {
			return err
		}
	} else if _, err := job.NewValueShape(c.Size, c.Fields); err != nil {
		return job.Inputf("--size: %v", err)
	}
	if _, err := job.ParseTemplate(c.Template); err != nil {
		return err
	}
	if s, err := c.schedule(0); err != nil {
		return job.Inputf("--rate: %v", err)
	} else if n := s.Before(int64(c.Warmup + c.Duration)); n > job.MaxMessages {
		return job.Inputf("%d messages are more than the %d that one run may number", n, int64(job.MaxMessages))
	}
	for _, f := range c.Feeds {
		if err := f.check(c); err != nil {
			return err
		}
	}
	return nil
}

func (c *FanoutConfig) checkParts() error {
	for _, part := range []struct {
		is    bool
		check func(*FanoutConfig) error
	}{
		{c.Churn != nil, c.Churn.check}, {c.Soak != nil, c.Soak.check}, {c.Storm != nil, c.Storm.check},
		{c.Abuse != nil, c.Abuse.check},
	} {
		if part.is {
			if err := part.check(c); err != nil {
				return err
			}
		}
	}
	for _, few := range []struct {
		flag    string
		clients int
	}{{"--orders-clients", c.OrdersClients}, {"--filtered", c.Filtered}, {"--stalled", c.Stalled}, {"--slow", c.Slow}} {
		if err := c.Target.CheckOneProcess(few.flag, few.clients); err != nil {
			return err
		}
	}
	return nil
}

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
