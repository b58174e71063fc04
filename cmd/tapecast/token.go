package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"tapecast/server/auth"
	"tapecast/server/config"
)

func tokenCommand(e *env) *cobra.Command {
	var (
		file, user string
		ttl        time.Duration
		ed25519    bool
	)
	c := &cobra.Command{
		Use:   "token",
		Short: "Print a token that the same configuration accepts",
		Long: `Token prints a token (JWT) for a user. It is signed with auth.secret, or with the
Ed25519 key in auth.private_key_file. Without a configuration it is signed with
the demo secret, which run also uses without one.

A token that the gateway accepts has sub (the user) and exp, and iss and aud where
auth.issuer and auth.audience are set, and a key of auth has signed it: a secret
(HS256 to HS512), RSA (RS256 to PS512), EC (ES256 to ES512) or Ed25519 (EdDSA).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.unlessTold(func() error {
				token, err := mint(e, c, file, user, ttl, ed25519)
				if err == nil {
					fmt.Fprintln(e.stdout, token)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	c.Flags().StringVar(&user, "user", "", "user `id`: the token's sub")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is valid")
	c.Flags().BoolVar(&ed25519, "ed25519", false, "sign with Ed25519 even if there is a secret")
	_ = c.MarkFlagRequired("user") // fails only for unknown flags
	return c
}

// mint makes a token with the configuration. Faults outside auth do not matter: a laptop
// that makes tokens need not be able to run the gateway.
func mint(e *env, c *cobra.Command, file, user string, ttl time.Duration, ed25519 bool) (string, error) {
	cfg, err := load(e, file, c.Flags())
	var faults config.Faults
	if errors.As(err, &faults) {
		if auth := faults.Under("auth"); len(auth) > 0 {
			return "", report(e, auth)
		}
	}
	if _, err := demoKey(cfg); err != nil {
		return "", err
	}
	return auth.MintToken(cfg, user, ttl, ed25519)
}
