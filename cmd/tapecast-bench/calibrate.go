package main

import (
	"time"

	"github.com/spf13/cobra"

	"tapecast/bench/plan"
)

func calibrateCommand() *cobra.Command {
	var t targetFlags
	var c plan.CalibrateConfig
	var out, against string
	var check plan.CheckConfig
	cmd := &cobra.Command{
		Use:   "calibrate",
		Short: "Measure what a gateway's work costs on this machine, for plan",
		Long: "calibrate runs a short set of loads against a gateway that has nothing else to do, reads its\n" +
			"/metrics, and fits the model that plan uses.",
		Example: `  tapecast-bench calibrate --secret-file key --direct --room trades --out calibration.json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
		},
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
