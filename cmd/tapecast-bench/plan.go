package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tapecast/bench/job"
	"tapecast/bench/plan"
)

func calibrateCommand() *cobra.Command {
	var t targetFlags
	var c plan.CalibrateConfig
	var out, against string
	var check plan.CheckConfig
	cmd := command("calibrate")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if c.Target, err = t.target(); err != nil {
			return err
		}
		c.Log = t.log(cmd)
		if against != "" {
			cal, err := plan.LoadCalibration(against)
			if err != nil {
				return err
			}
			check.Calibrate = c
			res, err := plan.Check(cmd.Context(), check, cal)
			if err != nil {
				return err
			}
			return report(cmd, t.json, res, nil)
		}
		cal, err := plan.Calibrate(cmd.Context(), c)
		if err != nil {
			return err
		}
		if out != "" {
			if err := cal.Save(out); err != nil {
				return err
			}
		}
		return report(cmd, t.json, cal, nil)
	}
	t.add(cmd)
	t.addPublishing(cmd)
	f := cmd.Flags()
	f.IntVar(&c.Clients, "clients", 10_000, "largest `number` of clients")
	f.IntVar(&c.Procs, "procs", 1, "client `processes`")
	f.StringVar(&c.Room, "room", "trades", "the `room` that all clients join")
	f.StringVar(&c.Keyed, "keyed", "",
		"rooms of a hundred clients, with {key} in the `name` (default: none are measured)")
	f.StringVar(&c.Fields, "fields", "", `further JSON `+"`members`"+` of a value, like '"s":"BTCUSDT"'`)
	f.Float64Var(&c.Most, "most", 400, "most `messages` a second to all clients")
	f.DurationVar(&c.Window, "window", 8*time.Second, "length of each measurement")
	f.IntVar(&c.Repeats, "repeats", 1, "`runs` of each point; the one with the median CPU counts")
	f.StringVar(&out, "out", "", "`file` to write the calibration to")
	f.StringVar(&against, "check", "",
		"do not calibrate: measure random loads, and compare them with the calibration in `file`")
	f.Uint64Var(&check.Seed, "seed", 1, "`seed` of the random loads")
	f.IntVar(&check.Inside, "inside", 5, "`number` of random loads in the calibrated range")
	f.IntVar(&check.Outside, "outside", 3, "`number` of random loads up to three times beyond it")
	return cmd
}

func planCommand() *cobra.Command {
	var c plan.Config
	s := plan.Feed{Name: "rooms"}
	var also []string
	var slo, calibration, metrics string
	var asJSON bool
	var memory, link float64
	var interval time.Duration
	cmd := command("plan")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if c.P99, err = parseSLO(slo); err != nil {
			return err
		}
		c.Memory, c.Link, s.Interval = memory*(1<<30), link*1e9/8, interval.Seconds()
		c.Streams = []plan.Feed{s}
		for _, text := range also {
			more, err := parseStream(text)
			if err != nil {
				return err
			}
			c.Streams = append(c.Streams, more)
		}
		cal, err := plan.LoadCalibration(calibration)
		if err != nil {
			return err
		}
		if metrics != "" {
			live, err := plan.ReadLive(cmd.Context(), metrics, 10*time.Second)
			if err != nil {
				return err
			}
			c.Corrected = cal.Correct(live)
		}
		p, err := plan.New(c, cal)
		if err != nil {
			return err
		}
		return report(cmd, asJSON, p, nil)
	}
	f := cmd.Flags()
	f.StringVar(&calibration, "calibration", "calibration.json", "`file` that calibrate wrote")
	f.StringVar(&metrics, "metrics", "",
		"adjust the calibration to a running gateway: `URL` of its internal port, or a file of its /metrics")
	f.Float64Var(&c.Connections, "connections", 100_000, "`number` of clients")
	f.Float64Var(&s.Rooms, "rooms", 1, "`number` of rooms that get messages")
	f.Float64Var(&s.Joined, "joined", 0, "`number` of rooms that each client joins (default: all)")
	f.Float64Var(&s.Mean, "rate", 10, "`messages` a second in each room on average")
	f.Float64Var(&s.Peak, "peak", 0, "`messages` a second in each room at the peak, which decides (default: the mean)")
	f.Float64Var(&s.Size, "size", 128, "`bytes` of a value")
	f.DurationVar(&interval, "interval", 0,
		"least `time` between two sends to a member, the interval of the rooms' class")
	f.Float64Var(&s.MaxRate, "max-rate", 0,
		"most `sends` a second that each client asks for (max_rate of its subscribe)")
	f.Float64Var(&s.Keys, "keys", 0,
		"`number` of keys in a room whose class conflates: a send has the newest message of each (default: all "+
			"messages)")
	f.StringArrayVar(&also, "also", nil,
		"another `stream`: name=orders,rooms=100000,joined=1,rate=0.1,peak=1,size=300;"+
			"\ninterval (seconds), maxrate and keys too")
	f.StringVar(&slo, "slo", "p99=50ms", "how old a message may be when it is read: `p99=`duration")
	f.Float64Var(&c.Cores, "cores", 4, "`number` of cores of a node")
	f.Float64Var(&memory, "memory", 0, "`GiB` of a node (default: 4 a core)")
	f.Float64Var(&link, "link", 10, "`Gbit/s` of a node's network")
	f.Float64Var(&c.Spare, "spare", 1, "`nodes` that may be lost at the peak while the SLO still holds")
	f.Float64Var(&c.Retain, "retain", 30, "`seconds` that tapes reach back")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// parseSLO parses p99=50ms, and returns it in ms.
func parseSLO(text string) (float64, error) {
	v, ok := strings.CutPrefix(text, "p99=")
	d, err := time.ParseDuration(v)
	if !ok || err != nil || d <= 0 {
		return 0, job.Inputf("--slo %q is not of the form p99=50ms", text)
	}
	return float64(d) / 1e6, nil
}

// parseStream parses rooms=…,joined=…,rate=…,peak=…,size=…,interval=…,maxrate=…,keys=…,name=….
func parseStream(text string) (plan.Feed, error) {
	s := plan.Feed{Rooms: 1, Size: 128}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		if key == "name" {
			s.Name = value
			continue
		}
		to := map[string]*float64{
			"rooms": &s.Rooms, "joined": &s.Joined, "rate": &s.Mean, "peak": &s.Peak, "size": &s.Size,
			"interval": &s.Interval, "maxrate": &s.MaxRate, "keys": &s.Keys,
		}[key]
		if to == nil {
			return s, job.Inputf("--also %q: %q is not one of name, rooms, joined, rate, peak, size, "+
				"interval, maxrate, keys", text, key)
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return s, job.Inputf("--also %q: %s=%q is not a number", text, key, value)
		}
		*to = v
	}
	return s, nil
}
