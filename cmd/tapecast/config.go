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

// configFile is the file that --config names, or else TAPECAST_CONFIG; "": none.
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

// load reads the configuration that a command was given.
func load(e *env, file string, flags *pflag.FlagSet) (*config.Config, error) {
	return config.Load(sources(e, file, flags))
}

// sources is where the configuration of a command comes from.
func sources(e *env, file string, flags *pflag.FlagSet) config.Sources {
	src := config.Sources{File: e.configFile(file), Environ: e.environ}
	flags.Visit(func(f *pflag.Flag) {
		if key, ok := flagKeys[f.Name]; ok {
			src.Flags = append(src.Flags, config.Flag{Name: "--" + f.Name, Key: key, Text: f.Value.String()})
		}
	})
	return src
}

// report prints all faults, each on its line.
func report(e *env, err error) error {
	var faults config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	fmt.Fprintln(e.stderr, faults)
	things := "faults"
	if len(faults) == 1 {
		things = "fault"
	}
	fmt.Fprintf(e.stderr, "tapecast: the configuration has %d %s\n", len(faults), things)
	return exitCode(1)
}

// demoKey gives a demo that has no key the user's own demo secret, and says where
// that is kept; "": the configuration has a key.
func demoKey(cfg *config.Config) (kept string, err error) {
	if !cfg.Demo() || cfg.Auth.Secret != "" || cfg.Auth.PublicKey != "" {
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

// demoWrites lets a run without configuration write, for who has the token that it keeps
// beside the demo secret, and says where that is; "": it cannot, or the configuration
// says itself who may. A port that other machines reach is left alone.
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
