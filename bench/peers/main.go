package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tapecast/bench/worker"
)

const usage = `peers run [FLAGS]          measure all in turns
peers serve NAME [FLAGS]   one server, until standard input ends`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers: "+strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("a command is missing:\n%s", usage)
	}
	switch args[0] {
	case "worker": // a client process of the bench
		return worker.Run(os.Stdin, os.Stdout)
	case "serve":
		return serveCommand(args[1:])
	case "run":
		return runCommand(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q:\n%s", args[0], usage)
}

func serveCommand(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("serve needs the name of a peer: nats, centrifuge, gorilla, gws or nbio")
	}
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "`host:port` for clients")
	admin := f.String("admin", "127.0.0.1:0", "`host:port` of /metrics and /debug/append")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	return serve(args[0], *listen, *admin, os.Stdin, os.Stdout)
}

func runCommand(ctx context.Context, args []string) error {
	c := runConfig{Log: os.Stderr}
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.StringVar(&c.Gateway, "gateway", "bin/tapecast", "`file` of the gateway's program; empty: peers only")
	f.StringVar(&c.Into, "into", "", "`file` whose table between the marks is replaced (default: print it)")
	f.IntVar(&c.Clients, "clients", 10_000, "`number` of clients of the one room")
	f.IntVar(&c.Size, "size", 128, "`bytes` of a message")
	f.DurationVar(&c.Warmup, "warmup", 2*time.Second, "time before each window")
	f.DurationVar(&c.Duration, "duration", 5*time.Second, "length of each window")
	f.IntVar(&c.Turns, "turns", 5,
		"`number` of further turns of all servers, at the highest rate that all kept up with")
	f.DurationVar(&c.Budget, "budget", 25*time.Minute, "start no measurement after this time")
	rates := f.String("rates", "5,10,20,50,100,200,400,800,1600,3200", "`messages` a second, ascending")
	only := f.String("only", "", "`names` of the servers to measure (default: all)")
	quick := f.Bool("quick", false, "take a minute or less, to see that everything works; the figures prove nothing")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *quick {
		c.Clients, c.Warmup, c.Duration, c.Budget, *rates, c.Turns = 50, 200*time.Millisecond, time.Second,
			50*time.Second, "50", 1
		c.quick = true
	}
	for r := range strings.SplitSeq(*rates, ",") {
		v, err := strconv.ParseFloat(r, 64)
		if err != nil || v <= 0 || len(c.Rates) > 0 && v <= c.Rates[len(c.Rates)-1] {
			return fmt.Errorf("--rates %q are not ascending numbers", *rates)
		}
		c.Rates = append(c.Rates, v)
	}
	if *only != "" {
		c.Only = strings.Split(*only, ",")
	}
	return run(ctx, c)
}
