package config

import "testing"

// TestRoomsPerUser: its default is no less than what one connection may have.
func TestRoomsPerUser(t *testing.T) {
	f := func(yaml string, want int) {
		t.Helper()
		if cfg, err := load(t, yaml); err != nil || cfg.Limits.RoomsPerUser != want {
			t.Errorf("%s: %d, %v, want %d", yaml, cfg.Limits.RoomsPerUser, err, want)
		}
	}
	f("limits: {}", 20_000)
	f("limits: {rooms_per_connection: 30000}", 30_000)
	f("limits: {rooms_per_connection: 0}", 0)
	f("limits: {rooms_per_connection: 0, rooms_per_user: 70}", 70)
	f("limits: {rooms_per_user: 100}", 100)
	f("limits: {rooms_per_user: 0}", 0)
}

// TestTiers: a row has the limits of accounts without a tier for what it does not set itself.
func TestTiers(t *testing.T) {
	cfg := mustLoad(t, "limits:\n  burst: 70\n  tiers:\n    pro: {connections_per_user: 500, snapshot_bytes: 0}\n"+
		"    big: {rooms_per_connection: 50000}\n    free: {rooms_per_connection: 0}\n    basic: {}\n",
		"TAPECAST_LIMITS_TIERS_PRO_MESSAGES_PER_SECOND=200")
	want := cfg.Limits.Untiered()
	if want.Burst != 70 || want.ConnectionsPerUser != 100 || cfg.Limits.Tiers["basic"] != want {
		t.Errorf("basic is %+v, and without a tier %+v", cfg.Limits.Tiers["basic"], want)
	}
	want.ConnectionsPerUser, want.SnapshotBytes, want.MessagesPerSecond = 500, 0, 200
	if cfg.Limits.Tiers["pro"] != want {
		t.Errorf("pro is %+v", cfg.Limits.Tiers["pro"])
	}
	if n := cfg.Limits.Tiers["big"].RoomsPerUser; n != 50_000 {
		t.Errorf("big may have %d rooms of a user", n)
	}
	if n := cfg.Limits.Tiers["free"].RoomsPerUser; n != 0 {
		t.Errorf("free may have %d rooms of a user", n)
	}
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, text, want...) }
	f("limits: {tiers: {pro: {connections: 5}}}",
		`c.yaml:1: limits.tiers.pro.connections: unknown key; it is no account's: set limits.connections, which is `+
			`of an address or of the node`)
	f("limits: {tiers: {pro: {burst: 0, wildcards_per_connection: 256, rooms_per_user: 3}}}",
		`c.yaml:1: limits.tiers.pro.burst: 0 would let no message through at all; set 1 or more, or `+
			`limits.tiers.pro.messages_per_second to 0 for no limit`,
		`c.yaml:1: limits.tiers.pro.wildcards_per_connection: 256 is more than 255; set 255 or less, or 0 to `+
			`allow none`,
		`c.yaml:1: limits.tiers.pro.rooms_per_user: 3 is less than the 7 rooms of auto_join; set 7 or more`)
	f("limits: {tiers: {pro: {bad_tokens_per_second: 5}}}", "c.yaml:1: limits.tiers.pro.bad_tokens_per_second: "+
		"unknown key; it is no account's: set limits.bad_tokens_per_second, which is of an address or of the node")
	f("limits: {tiers: {pro: {empty_rooms: -1}}}", "c.yaml:1: limits.tiers.pro.empty_rooms: cannot take -1; write a "+
		"whole number, such as 100")
	f("limits: {tiers: {pro: {recall_bytes: 1KiB}}}", "c.yaml:1: limits.tiers.pro.recall_bytes: 1KiB is less "+
		"than 64KiB, and a few messages take as much; set 64KiB or more, or 0 for no limit")
	f("limits: {recall_bytes_per_connection: 65535}", "c.yaml:1: limits.recall_bytes_per_connection: 65535 is less "+
		"than 64KiB, and a few messages take as much; set 64KiB or more, or 0 for no limit")
	f("limits: {bytes_per_second: 100KiB, tiers: {pro: {bytes_per_second: 1023}, basic: {bytes_per_second: 0}}}",
		`c.yaml:1: limits.tiers.pro.bytes_per_second: 1023 is less than 1KiB, and some messages alone are longer; set `+
			`1KiB or more, or 0 for no limit`)
	f("limits: {tiers: {pro: {request_burst: 49, messages_per_second: -1}}}",
		`c.yaml:1: limits.tiers.pro.messages_per_second: cannot take -1; write a number, such as 50 or 0.5`,
		`c.yaml:1: limits.tiers.pro.request_burst: 49 is less than the 50 that a token costs; set 50 or more, or `+
			`limits.tiers.pro.request_cost to 0 for no limit`)
	f("limits: {claim: \"\"}",
		`c.yaml:1: limits.claim: "" is not the name of a claim; write one of 1 to 64 bytes, or remove the line for `+
			`the default`)
}
