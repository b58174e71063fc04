package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// flagKeys are the flags that set a key of the configuration.
var flagKeys = map[string]string{
	"listen":    "server.listen",
	"admin":     "admin.listen",
	"log-level": "log.level",
	"direct":    "admin.direct",
}

// configFile returns the file that --config names, or else TAPECAST_CONFIG; "": none.
func (e *env) configFile(flag string) string {
	if flag != "" {
		return flag
	}
	for _, v := range e.environ {
		if file, ok := strings.CutPrefix(v, config.EnvFile+"="); ok {
			return file
		}
	}
	return ""
}

func load(e *env, file string, flags *pflag.FlagSet) (*config.Config, error) {
	return config.Load(sources(e, file, flags))
}

// sources returns where the configuration of a command comes from.
func sources(e *env, file string, flags *pflag.FlagSet) config.Sources {
	src := config.Sources{File: e.configFile(file), Environ: e.environ}
	flags.Visit(func(f *pflag.Flag) {
		if key, ok := flagKeys[f.Name]; ok {
			src.Flags = append(src.Flags, config.Flag{Name: "--" + f.Name, Key: key, Text: f.Value.String()})
		}
	})
	return src
}

func report(e *env, err error) error {
	var faults config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	fmt.Fprintln(e.stderr, faults)
	return faulty(e, "tapecast: the configuration has %d %s\n", len(faults))
}

// faulty prints how many faults something has. The format takes the number and the word.
func faulty(e *env, format string, n int) error {
	fmt.Fprintf(e.stderr, format, n, map[bool]string{true: "fault", false: "faults"}[n == 1])
	return exitCode(1)
}

// demoKey gives a demo without a key the user's own demo secret, and returns in words where
// it is kept; "": the configuration has a key.
func demoKey(cfg *config.Config) (kept string, err error) {
	if !cfg.Demo() || cfg.HasKey() {
		return "", nil
	}
	secret, file, err := auth.DemoSecret()
	if err != nil {
		return "", err
	}
	cfg.Auth.Secret = secret
	if file == "" {
		return "a random secret of this run", nil
	}
	return "the demo secret in " + file, nil
}

// demoWrites enables writes in a run without configuration, with a token that is kept
// beside the demo secret. It returns the token's file. "": writes stay disabled, or the
// configuration decides about them. They stay disabled if other machines reach the port.
func demoWrites(cfg *config.Config, file string) (kept string, err error) {
	if file != "" || !cfg.Demo() || cfg.Admin.TokenFile != "" || !config.OnLoopback(cfg.Admin.Listen) {
		return "", nil
	}
	kept, err = auth.DemoAdminToken()
	if err != nil || kept == "" {
		return "", err
	}
	cfg.Admin.TokenFile, cfg.Admin.Write = kept, true
	return kept, nil
}
